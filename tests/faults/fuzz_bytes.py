"""Files whose bytes are changed at random, or that get tokens that mean something to a format."""

import random

TOKENS = {
    ".yaml": [
        b"!!python/object/apply:os.system ['true']",
        b"epochs: 10000000000000000000000",
        *(
            b"&a [*a]",
            b"<<: *x",
            b"1e999",
            b"~",
            b"\t",
            b"'",
            b"{",
            b"- ",
            b": ",
            b"null",
            b"runs:",
        ),
    ],
    ".csv": [b",", b'"', b"\r", b"\n", b"\0", b"nan", b"-1", b"1e309", b"\xff\xfe", b"../../x"],
    ".json": [b"[" * 5000, b"NaN", b"1e999", b"null", b'"', b"{"],
}
ANY = [b"", b"\0" * 64, b"\xff" * 16, b"9" * 400]


def mutated(whole: bytes, rng: random.Random, suffix: str = "") -> bytes:
    """Return a changed copy."""
    data = bytearray(whole)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        length = min(rng.choice((1, 2, 4, 16, 300)), len(data) - at)
        kind = rng.randrange(6)
        if kind == 0 and length:
            for i in range(at, at + length):
                data[i] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + length]
        elif kind == 2:
            data[at:at] = data[at : at + length]
        elif kind == 3 and data:
            other = rng.randrange(len(data))
            data[at:at] = data[other : other + length]
        elif kind == 4:
            data[at:at] = rng.choice(TOKENS.get(suffix, []) + ANY)
        elif length:
            data[at] ^= 1 << rng.randrange(8)
    return bytes(data)
