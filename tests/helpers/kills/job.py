"""The job of a run whose saving is shot at. Standard library only; argv: PLACE SEED [blocked].

Writes one state of its outputs, says `ready`, waits for a word in PLACE/gate, and writes another state: files
that changed, came, went, and one that was open for writing all the time. `blocked`: it spoils a target.
"""

import os
import random
import sys

MIB = 1 << 20


def main() -> None:
    place, seed, *blocked = sys.argv[1:]
    dice = random.Random(seed)
    os.makedirs("out/step1", exist_ok=True)
    os.makedirs("out/step2", exist_ok=True)
    os.makedirs("model", exist_ok=True)
    os.makedirs("bad", exist_ok=True)
    write("out/step1/weights", dice.randbytes(6 * MIB + 17))
    write("out/step1/optimizer", dice.randbytes(3 * MIB))
    write("out/step2/weights", dice.randbytes(4 * MIB + 1))
    write("out/step2/optimizer", dice.randbytes(MIB))
    for number in range(20):
        write(f"out/step2/shard{number}", dice.randbytes(dice.randrange(4000)))
    write("out/history", b"one\n")
    if not os.path.lexists("out/latest"):
        os.symlink("step2", "out/latest")
    write("model/final", dice.randbytes(5 * MIB))
    write("bad/lost", b"lost\n")
    os.makedirs("out/open", exist_ok=True)
    half = open("out/open/weights", "wb", buffering=0)  # noqa: SIM115 - it stays open on purpose
    half.write(dice.randbytes(MIB))
    if blocked:
        write(f"{place}/blocked", b"no folder\n")
    write(f"{place}/ready", b"")
    with open(f"{place}/gate") as gate:
        gate.readline()
    half.write(dice.randbytes(MIB))
    half.close()
    write("out/step1/weights", dice.randbytes(6 * MIB))
    os.unlink("out/step2/optimizer")
    os.mkdir("out/step3")
    write("out/step3/weights", dice.randbytes(3 * MIB))
    write("out/history", b"one\ntwo\n")
    write("model/final", dice.randbytes(5 * MIB))
    write("model/card", b"card\n")
    print("done", flush=True)


def write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    main()
