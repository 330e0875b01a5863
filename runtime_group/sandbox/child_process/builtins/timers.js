// setTimeout on the one waiting primitive of the language, which scripts themselves do not get.
const { SharedBytes, waitAsync } = given;
const pendingTimers = new Set();
let nextTimer = 1;

const setTimeout = (callback, delay = 0, ...values) => {
  const id = nextTimer++;
  pendingTimers.add(id);
  const cell = new Int32Array(new SharedBytes(4));
  waitAsync(cell, 0, 0, Math.max(Number(delay) || 0, 1)).value.then(() => {
    if (pendingTimers.delete(id)) callback(...values);
  });
  return id;
};

const clearTimeout = (id) => {
  pendingTimers.delete(id);
};

return { clearTimeout, setTimeout };
