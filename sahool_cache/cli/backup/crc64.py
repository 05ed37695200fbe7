"""
The checksum at the end of an RDB: CRC-64 with the polynomial of Jones, reflected.
"""

from __future__ import annotations

from functools import cache

__all__ = ["crc64"]

_POLYNOMIAL = 0x95AC9329AC4BC9B5


def crc64(data: bytes) -> int:
    """
    The checksum of these bytes.
    """
    table = _table()
    crc = 0
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


@cache
def _table() -> tuple[int, ...]:
    return tuple(map(_entry, range(256)))


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
    return value
