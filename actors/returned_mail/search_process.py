"""Process that searches mails for addresses (`actors.returned_mail.process_loop`)."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Final

import msgspec

from actors.returned_mail import process_loop
from actors.returned_mail.frames import AddressesRequest, SearchRequest
from domain.address_candidates import possible_addresses
from domain.address_search import AddressSearch

_DECODER: Final = msgspec.msgpack.Decoder(SearchRequest | AddressesRequest)
_search: Final = lru_cache(maxsize=100)(AddressSearch)


def respond(payload: bytes) -> bool | list[str]:
    """The response to a request. Lack of memory ends the process."""
    request = _DECODER.decode(payload)
    try:
        if isinstance(request, AddressesRequest):
            return possible_addresses(request.texts, request.mails, request.limit)
        search = _search(request.person)
        return any(map(search.is_in, request.texts)) or any(map(search.is_in_mail, request.mails))
    except MemoryError:
        os._exit(1)


def main() -> None:
    process_loop.run(lambda payload: msgspec.msgpack.encode(respond(payload)))


if __name__ == "__main__":
    main()
