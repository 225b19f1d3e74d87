"""Benchmark of the parser of returned mail: mails per second in this process, and through its own process.

Run:  python -m benchmarks.bench_returned_mail [--rounds 20]

The mails are those of the tests' collections with less than 30 kB. CPU is that of this process (user + system); the
rate through the parser's process is wall time, with one mail at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence

from actors.returned_mail.parser import MailParser
from domain.returned_mail.reader import read
from tests.returned_mail_samples import samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    small = [sample for sample in samples() if len(sample.raw) < 30_000]
    dsns = [sample.raw for sample in small if sample.kind in ("failed", "delayed")]
    notices = [sample.raw for sample in small if sample.kind == "bounce"]
    for name, mails in (("DSNs", dsns), ("other notifications", notices)):
        cpu_s = min(_cpu(mails) for _ in range(rounds)) / len(mails)
        kib = sum(map(len, mails)) / len(mails) / 1024
        print(f"{name:<22} {kib:4.1f} KiB  {cpu_s * 1000:5.2f} ms CPU  {1 / cpu_s:7,.0f} mails/s")
    rate = asyncio.run(_through_process(dsns, rounds))
    print(f"{'DSNs, in the process':<22} {'':>8}  {1000 / rate:5.2f} ms      {rate:7,.0f} mails/s")


def _cpu(mails: Sequence[bytes]) -> float:
    start = time.process_time()
    for mail in mails:
        read(mail)
    return time.process_time() - start


async def _through_process(mails: Sequence[bytes], rounds: int) -> float:
    """Mails per second, the best of all rounds."""
    parser = MailParser()
    await parser.parse(mails[0])
    best = 0.0
    for _ in range(rounds):
        start = time.perf_counter()
        for mail in mails:
            await parser.parse(mail)
        best = max(best, len(mails) / (time.perf_counter() - start))
    await parser.close()
    return best


if __name__ == "__main__":
    main()
