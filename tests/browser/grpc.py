"""Calls a coordinator over gRPC, with nothing but the standard library, so that a test can play many workers.

Only what a test needs: one call at a time, over an unencrypted connection, with one answer. HTTP/2 is
RFC 9113; header fields are sent as literals without indexing (RFC 7541, 6.2.2), and answers' are skipped.
"""

import socket
import struct

DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
# Large enough that answers are never held up.
WINDOW = 1 << 30


def varint(number):
    """Encodes a number as protobuf does."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded + bytes([number]))


def message(fields):
    """Encodes a protobuf message: numbers of fields with integers, texts, or encoded messages."""
    encoded = b""
    for number, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                encoded += varint(number << 3) + varint(one)
            else:
                data = one.encode() if isinstance(one, str) else one
                encoded += varint(number << 3 | 2) + varint(len(data)) + data
    return encoded


def read(data):
    """Decodes a protobuf message: the values of each field, integers or bytes."""
    fields, position = {}, 0

    def number():
        nonlocal position
        value, shift = 0, 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        elif key & 7 == 2:
            length = number()
            value = data[position:position + length]
            position += length
        else:
            raise ValueError(f"wire type {key & 7}")
        fields.setdefault(key >> 3, []).append(value)
    return fields


class Caller:
    """A connection to a coordinator."""

    def __init__(self, host, port):
        self.authority = f"{host}:{port}"
        self.socket = socket.create_connection((host, port), timeout=60)
        self.stream = -1
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, WINDOW))
        self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW))

    def frame(self, kind, flags, stream, payload):
        self.socket.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the coordinator hung up")
            data += more
        return data

    def call(self, method, request):
        """Makes a call and returns the decoded answer."""
        self.stream += 2
        fields = {":method": "POST", ":scheme": "http", ":path": f"/attribution.v1.{method}", ":authority": self.authority,
                  "content-type": "application/grpc", "te": "trailers"}
        head = b"".join(b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
                        for name, value in fields.items())
        self.frame(HEADERS, END_HEADERS, self.stream, head)
        self.frame(DATA, END_STREAM, self.stream, b"\0" + struct.pack(">I", len(request)) + request)
        answer = b""
        while True:
            head = self.exactly(9)
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = self.exactly(length)
            if kind == SETTINGS and not flags & ACK:
                self.frame(SETTINGS, ACK, 0, b"")
            elif kind == PING and not flags & ACK:
                self.frame(PING, ACK, 0, payload)
            elif kind == GOAWAY:
                raise ConnectionError(payload)
            elif kind == DATA:
                answer += payload
                if payload:
                    self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", length))
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                break
        if len(answer) < 5:
            raise RuntimeError(f"{method} was refused")
        return read(answer[5:])
