"""Process that searches mails for the address of a person (`actors.returned_mail.process_loop`)."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

import msgspec

from actors.returned_mail import process_loop
from actors.returned_mail.frames import SearchRequest
from domain.address_search import AddressSearch

_DECODER: Final = msgspec.msgpack.Decoder(SearchRequest)
_search: Final = lru_cache(maxsize=100)(AddressSearch)


def respond(payload: bytes) -> bool:
    """Whether a mail, or one of the texts about it, has the address. Lack of memory ends the process."""
    request = _DECODER.decode(payload)
    search = _search(request.person)
    try:
        return any(map(search.is_in, request.texts)) or any(map(search.is_in_mail, request.mails))
    except MemoryError:
        os._exit(1)


def main() -> None:
    process_loop.run(lambda payload: msgspec.msgpack.encode(respond(payload)))


if __name__ == "__main__":
    main()
