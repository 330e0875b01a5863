"""The built-ins of spec/runtime.md 2.4, checked against Python's own and published vectors."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable

import pytest

from xworkflow.errors import SandboxError
from xworkflow.ports import CodeResult

Run = Callable[..., Awaitable[CodeResult]]

TEXTS = [
    ("aé😀" * 80)[:length] for length in (*range(0, 140, 3), 55, 56, 63, 64, 111, 112, 128, 200)
]


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
async def test_digests_agree_with_python(run_js: Run, name: str) -> None:
    code = f"const main = ({{texts}}) => texts.map(text => crypto.{name}(text))"
    wanted = [hashlib.new(name, text.encode()).hexdigest() for text in TEXTS]
    assert (await run_js(code, {"texts": TEXTS})).value == wanted


async def test_the_digest_of_hello_is_the_known_one(run_js: Run) -> None:
    code = "const main = () => [crypto.md5('hello'), crypto.sha256('hello')]"
    assert (await run_js(code)).value == [
        "5d41402abc4b2a76b9719d911017c592",
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    ]


@pytest.mark.parametrize(("function", "name"), [("hmacSha256", "sha256"), ("hmacSha512", "sha512")])
async def test_hmac_agrees_with_python_for_short_and_long_keys(
    run_js: Run, function: str, name: str
) -> None:
    keys = ["", "secret", "k" * 64, "k" * 65, "é" * 128]
    code = f"const main = ({{keys}}) => keys.map(key => crypto.{function}(key, 'hello é'))"
    wanted = [hmac.new(key.encode(), "hello é".encode(), name).hexdigest() for key in keys]
    assert (await run_js(code, {"keys": keys})).value == wanted


async def test_aes_decrypts_the_published_vector(run_js: Run) -> None:
    sealed = bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
    inputs = {
        "text": base64.b64encode(sealed).decode(),
        "key": "00" * 32,
        "iv": base64.b64encode(bytes(12)).decode(),
    }
    code = "const main = ({text, key, iv}) => crypto.aesDecrypt(text, key, iv)"
    assert (await run_js(code, inputs)).value == "\0" * 16


async def test_aes_round_trips_texts_of_all_lengths_with_a_new_iv_each_time(run_js: Run) -> None:
    code = """const main = ({texts, key}) => texts.map(text => {
        const {ciphertext, iv} = crypto.aesEncrypt(text, key);
        return [crypto.aesDecrypt(ciphertext, key, iv), iv];
    })"""
    pairs = (await run_js(code, {"texts": TEXTS, "key": "0f" * 32})).value
    assert [text for text, _ in pairs] == TEXTS
    assert len({iv for _, iv in pairs}) == len(TEXTS)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("crypto.aesEncrypt('x', '00')", "TypeError"),
        ("crypto.aesDecrypt('AAAA', '00'.repeat(32), btoa('short'))", "TypeError"),
        ("crypto.aesDecrypt(btoa('x'.repeat(32)), '00'.repeat(32), btoa('y'.repeat(12)))", "Error"),
        ("atob('*')", "TypeError"),
        ("atob('/w==')", "TypeError"),
        ("randomInt(2, 1)", "RangeError"),
        ("randomBytes(-1)", "RangeError"),
    ],
)
async def test_bad_arguments_raise_the_right_kind_of_error(
    run_js: Run, call: str, error: str
) -> None:
    with pytest.raises(SandboxError, match=f"^Execution error: {error}: "):
        await run_js(f"function main() {{ return {call} }}")


async def test_base64_is_of_utf8_bytes(run_js: Run) -> None:
    code = "const main = ({texts}) => texts.map(text => [btoa(text), atob(btoa(text))])"
    wanted = [[base64.b64encode(text.encode()).decode(), text] for text in TEXTS]
    assert (await run_js(code, {"texts": TEXTS})).value == wanted


async def test_what_is_no_text_counts_as_empty(run_js: Run) -> None:
    code = "const main = () => [btoa(12), btoa(), crypto.md5(null) === crypto.md5('')]"
    assert (await run_js(code)).value == ["", "", True]


async def test_random_values_have_their_shapes_and_ranges(run_js: Run) -> None:
    code = """function main() {
        const many = f => Array.from({length: 200}, f);
        return [many(uuidv4), many(() => randomInt(-1, 1)), many(() => randomInt()),
                many(randomFloat), randomBytes().length, randomBytes(3).length,
                random.randomInt(5, 5), typeof random.randomFloat(), random.randomBytes(0)];
    }"""
    ids, small, default, floats, *rest = (await run_js(code)).value
    version4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(version4.fullmatch(each) for each in ids)
    assert len(set(ids)) == 200
    assert set(small) == {-1, 0, 1}
    assert all(0 <= each <= 100 for each in default)
    assert all(0 <= each < 1 for each in floats)
    assert rest == [32, 6, 5, "number", ""]


async def test_two_uses_draw_different_numbers(run_js: Run) -> None:
    code = "const main = () => [uuidv4(), randomBytes(8), Math.random()]"
    first, second = (await run_js(code)).value, (await run_js(code)).value
    assert not set(first) & set(second)


async def test_the_clock_is_utc_and_formats_like_strftime(run_js: Run) -> None:
    code = """Date.now = () => 0;
    function main() { return [
        datetime.now() > 1.6e12, Math.abs(datetime.timestamp() - datetime.now()) < 1000,
        datetime.isoString(), datetime.format(), datetime.format('%Y/%j|%H:%M:%S|%b %a|%%|%Q'),
    ] }"""
    is_now, is_millis, iso, default, custom = (await run_js(code)).value
    assert is_now
    assert is_millis
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", iso)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", default)
    assert re.fullmatch(r"\d{4}/\d{3}\|\d\d:\d\d:\d\d\|[A-Z][a-z]{2} [A-Z][a-z]{2}\|%\|%Q", custom)


async def test_conformance_case_045(run_js: Run) -> None:
    code = """function main(inputs) {
        var key = "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f";
        var enc = crypto.aesEncrypt("hello", key);
        var dec = crypto.aesDecrypt(enc.ciphertext, key, enc.iv);
        return {
            hmac_len_ok: crypto.hmacSha256("secret", "hello").length === 64,
            aes_ok: dec === "hello",
            b64_ok: atob(btoa("hello")) === "hello",
            uuid_len_ok: uuidv4().length === 36,
            random_int_ok: randomInt(5, 5) === 5,
            random_float_type_ok: typeof randomFloat() === "number",
            random_bytes_len_ok: randomBytes(16).length === 32,
            datetime_ok: datetime.timestamp() > 0 };
    }"""
    assert all((await run_js(code)).value.values())


@pytest.mark.parametrize(
    "spoilt",
    [
        "Function = Object = JSON = Promise = null",
        "Object.prototype.get = () => 'forged'; Object.prototype.tools = 1",
        "Object.freeze(globalThis); Object.freeze(Object.prototype)",
        "Date.now = null",
    ],
)
async def test_built_ins_work_however_late_they_are_first_used(run_js: Run, spoilt: str) -> None:
    """They are read at their first use, when a script may have changed what they are made of."""
    code = f"""function main() {{
        {spoilt};
        console.log('seen');
        return btoa('a') + crypto.md5('').length + randomInt(3, 3) + datetime.format('%%');
    }}"""
    result = await run_js(code)
    assert (result.value, result.stdout) == ("YQ==323%", "seen")


async def test_built_ins_are_properties_of_the_global_object(run_js: Run) -> None:
    code = """function main() {
        const names = Object.keys(globalThis).filter((name) => name !== 'main').sort();
        const same = names.filter((name) => globalThis[name] === globalThis[name]);
        crypto.mine = 1; btoa = 2; delete globalThis.atob;
        return [names, same.length === names.length, crypto.mine, btoa, typeof atob];
    }"""
    wanted = """atob btoa clearTimeout console crypto datetime random randomBytes randomFloat
        randomInt setTimeout uuidv4"""
    assert (await run_js(code)).value == [wanted.split(), True, 1, 2, "undefined"]
