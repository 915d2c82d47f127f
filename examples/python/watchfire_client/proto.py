"""The generated code, from wherever it is: installed, on the path, or in `generated/` beside this package."""

import sys
from pathlib import Path

_GENERATED = Path(__file__).resolve().parent.parent / "generated"
if _GENERATED.is_dir() and str(_GENERATED) not in sys.path:
    sys.path.append(str(_GENERATED))

try:
    from watchfire.v1 import (
        body_pb2,
        entry_pb2,
        exchange_service_pb2,
        exchange_service_pb2_grpc,
        header_pb2,
        member_pb2,
        query_service_pb2,
        query_service_pb2_grpc,
        roster_service_pb2,
        roster_service_pb2_grpc,
    )
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(f"{missing}: run generate.py first") from missing

__all__ = [
    "body_pb2",
    "entry_pb2",
    "exchange_service_pb2",
    "exchange_service_pb2_grpc",
    "header_pb2",
    "member_pb2",
    "query_service_pb2",
    "query_service_pb2_grpc",
    "roster_service_pb2",
    "roster_service_pb2_grpc",
]
