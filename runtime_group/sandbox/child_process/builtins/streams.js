// What stands for an input that came in pieces, while main runs.
const { parse, stdout } = given;

const stream = () => {
  const callbacks = {};
  const handle = {};
  for (const name of ["on_chunk", "on_end", "on_error"])
    handle[name] = (callback) => {
      callbacks[name] = callback;
      return handle;
    };
  return { handle, callbacks };
};

// main says what it wants to hear; then one stream after another is played to it. No stream fails
// here: the node that makes it would have failed, so on_error is never called.
return async (main, inputs, streams, finished) => {
  const handles = Object.fromEntries(Object.keys(streams).map((name) => [name, stream()]));
  const handed = parse(inputs);
  for (const [name, { handle }] of Object.entries(handles)) handed[name] = handle;
  const value = await main(handed);
  const heard = Object.entries(handles).filter(([, { callbacks }]) => callbacks.on_chunk);
  if (heard.length === 0) {
    stdout.text = "";
    return finished(await main(parse(inputs)));
  }
  const chunks = [];
  const take = (chunk) => {
    if (chunk !== undefined && chunk !== null) chunks.push(chunk);
  };
  for (const [name, { callbacks }] of Object.entries(handles)) {
    if (callbacks.on_chunk) for (const piece of streams[name]) take(await callbacks.on_chunk(piece));
    if (callbacks.on_end) take(await callbacks.on_end(parse(inputs)[name]));
  }
  return finished(value, chunks);
};
