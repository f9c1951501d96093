# SPDX-License-Identifier: Apache-2.0
"""Keys, grants, proofs, frames (docs/security.md, docs/protocol_link.md), and
a link over a socket. Debian: python3-openssl, for the TLS exporter."""
import datetime
import hashlib
import select
import time

import cbor
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)
from OpenSSL import SSL, crypto
from wire import Malformed, Reader, check, varint

DIALLER, ACCEPTER = 1, 2
CONTROL, LIVE, CATCHUP, BLOBS = range(4)
LAST = 4
AUTH, PING, PONG, BYE = 0x10, 0x11, 0x12, 0x13
FRAME_BYTES_MAX = 16384
MESSAGE_BYTES_MAX = 72 << 20
HEADER = bytes.fromhex("a10127")
EXPORTER_LABEL = b"EXPORTER-tako-auth"


class Denied(Exception):
    """A proof that does not hold."""


class Closed(Exception):
    """The other end closed: code (None: without a word), text."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


# ---- keys -------------------------------------------------------------------


def labelled(label, data, size):
    return hashlib.blake2b(data, digest_size=size,
                           key=label.ljust(32, b"\0")).digest()


class Key:
    """An Ed25519 key pair of a 32-byte seed."""

    def __init__(self, seed):
        self.private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.private.public_key().public_bytes(
            Encoding.Raw, PublicFormat.Raw)

    def sign(self, data):
        return self.private.sign(data)


def verify(public, signature, data):
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature,
                                                                  data)
    except InvalidSignature:
        raise Denied("a signature that is not") from None


class Mesh:
    def __init__(self, secret):
        self.authority = Key(labelled(b"tako mesh authority 1",
                                      secret.rstrip(b" \t\r\n"), 32))
        self.id = labelled(b"tako mesh id 1", self.authority.public, 16)


# ---- grants -----------------------------------------------------------------


def cbor_map(pairs):
    """A map whose keys are integers, in the order of their encodings."""
    encoded = sorted((cbor.encode(k), v) for k, v in pairs)
    return cbor.head(5, len(encoded)) + b"".join(k + v for k, v in encoded)


def claims(mesh, device, name, roles=3, issued=0, expires=None):
    key = cbor_map([(1, cbor_map([(1, cbor.encode(1)), (-1, cbor.encode(6)),
                                  (-2, cbor.encode(device))]))])
    pairs = [(2, cbor.encode(name)), (6, cbor.encode(issued)), (8, key),
             (-65537, cbor.encode(mesh.id)), (-65538, cbor.encode(roles))]
    if expires is not None:
        pairs.append((4, cbor.encode(expires)))
    return cbor_map(pairs)


def grant_signed(claim_bytes):
    return cbor.encode(["Signature1", HEADER, b"tako grant 1", claim_bytes])


def make_grant(mesh, claim_bytes):
    signature = mesh.authority.sign(grant_signed(claim_bytes))
    return (cbor.head(4, 4) + cbor.encode(HEADER) + cbor.head(5, 0)
            + cbor.encode(claim_bytes) + cbor.encode(signature))


def read_claims(data):
    """The claims by number, their values as CBOR."""
    r = Reader(data)
    out, before = {}, b""
    for _ in range(cbor.pairs(r)):
        start = r.pos
        key = cbor.read(r)
        check(before < r.data[start:r.pos], "claims out of order")
        before = r.data[start:r.pos]
        start = r.pos
        if key == 8:  # its keys are integers
            check(r.take(10) == bytes.fromhex("a101a301012006215820"),
                  "a key that is not Ed25519")
            out[key] = r.take(32)
            continue
        cbor.read(r)
        out[key] = r.data[start:r.pos]
    r.end()
    return out


def check_grant(mesh, grant, now):
    """The device's public key and name."""
    check(len(grant) <= 4096, "a grant that is too long")
    header, empty, told, signature = cbor.decode(grant)
    check(header == HEADER and empty == {}, "another kind of grant")
    verify(mesh.authority.public, signature, grant_signed(told))
    found = read_claims(told)
    for key in found:
        if isinstance(key, int) and -131072 <= key <= -65539:
            raise Denied(f"claim {key} must be understood")
    if cbor.decode(found[-65537]) != mesh.id:
        raise Denied("a grant for another mesh")
    if 4 in found and now > cbor.decode(found[4]) + 300:
        raise Denied("a grant that has expired")
    if cbor.decode(found[6]) > now + 300:
        raise Denied("a grant of the future")
    return found[8], cbor.decode(found[2])


# ---- proofs -----------------------------------------------------------------


def proof_signed(side, exporter, grant):
    return (b"tako auth 1\0" + bytes([side]) + exporter
            + hashlib.blake2b(grant, digest_size=32).digest())


def make_proof(key, grant, side, exporter):
    return cbor.encode([1, grant, key.sign(proof_signed(side, exporter,
                                                        grant))])


def check_proof(mesh, proof, side, exporter, now):
    check(len(proof) <= 4224, "a proof that is too long")
    number, grant, signature = cbor.decode(proof)
    check(number == 1, "another version of proofs")
    device, name = check_grant(mesh, grant, now)
    verify(device, signature, proof_signed(side, exporter, grant))
    return device, name


# ---- frames -----------------------------------------------------------------


def frame(kind, body):
    check(len(body) <= FRAME_BYTES_MAX, "a frame that is too long")
    return varint(len(body)) + bytes([kind]) + body


def message_frames(lane, message, most=FRAME_BYTES_MAX):
    """The frames of one message."""
    parts = [message[i:i + most] for i in range(0, len(message), most)]
    parts = parts or [b""]
    return [frame(lane | (LAST if i == len(parts) - 1 else 0), part)
            for i, part in enumerate(parts)]


class FrameReader:
    """Bytes in; (kind, body) out. Kinds 0 to 3: a message of that lane."""

    def __init__(self):
        self.held = b""
        self.lanes = [b"", b"", b"", b""]

    def feed(self, data):
        self.held += data
        out = []
        while True:
            r = Reader(self.held)
            try:
                size = r.varint()
                check(size <= FRAME_BYTES_MAX, "a frame that is too long")
            except Malformed:
                if len(self.held) >= 3:  # and not only cut off
                    raise
                return out
            if r.left() < 1 + size:
                return out
            kind, body = r.u8(), r.take(size)
            self.held = r.rest()
            self.take(kind, body, out)

    def take(self, kind, body, out):
        if kind >= 8:
            check(kind < 0x80 or kind in (AUTH, PING, PONG, BYE),
                  "an unknown frame that must be understood")
            out.append((kind, body))
            return
        lane = kind & 3
        check(body or kind & LAST, "a frame that carries nothing")
        check(len(self.lanes[lane]) + len(body) <= MESSAGE_BYTES_MAX,
              "a message that is too long")
        self.lanes[lane] += body
        if kind & LAST:
            out.append((lane, self.lanes[lane]))
            self.lanes[lane] = b""


# ---- TLS --------------------------------------------------------------------


def throw_away_certificate():
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tako")])
    made = x509.CertificateBuilder(
        subject_name=name, issuer_name=name, public_key=key.public_key(),
        serial_number=1, not_valid_before=datetime.datetime(1970, 1, 1),
        not_valid_after=datetime.datetime(9999, 12, 31)).sign(key, None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (crypto.X509.from_cryptography(made),
            crypto.load_privatekey(crypto.FILETYPE_PEM, pem))


def tls_context(accepts):
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(SSL.OP_NO_TICKET)
    if accepts:
        certificate, key = throw_away_certificate()
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_alpn_select_callback(
            lambda _, offered: b"tako/1" if b"tako/1" in offered
            else SSL.NO_OVERLAPPING_PROTOCOLS)
    else:
        context.set_alpn_protos([b"tako/1"])
    return context


class Link:
    """A link over a connected socket; `prove` shows how a bad peer differs."""

    def __init__(self, sock, side, key, mesh, name, grant=None, alpn=True):
        self.sock = sock
        self.side = side
        self.key = key
        self.mesh = mesh
        self.grant = grant or make_grant(mesh, claims(mesh, key.public, name))
        context = tls_context(side == ACCEPTER)
        if not alpn:
            context = SSL.Context(SSL.TLS_METHOD)
        self.tls = SSL.Connection(context, None)
        if side == DIALLER:
            self.tls.set_connect_state()
        else:
            self.tls.set_accept_state()
        self.reader = FrameReader()
        self.arrived = []
        self.peer = None

    def flush(self):
        while True:
            try:
                self.sock.sendall(self.tls.bio_read(1 << 16))
            except SSL.WantReadError:
                return

    def fill(self, seconds):
        """Waits for bytes; False: none came in time."""
        if not select.select([self.sock], [], [], max(seconds, 0))[0]:
            return False
        data = self.sock.recv(1 << 16)
        if not data:
            raise Closed(None, "the stream ended")
        self.tls.bio_write(data)
        return True

    def handshake(self, seconds=10):
        while True:
            try:
                self.tls.do_handshake()
                break
            except SSL.WantReadError:
                self.flush()
                check(self.fill(seconds), "no answer to the handshake")
            except SSL.Error as e:
                self.flush()
                raise Closed(None, f"TLS: {e}") from None
        self.flush()
        self.exporter = self.tls.export_keying_material(EXPORTER_LABEL, 32)
        return self

    def prove(self):
        self.write(frame(AUTH, make_proof(self.key, self.grant, self.side,
                                          self.exporter)))

    def expect_proof(self, seconds=10):
        kind, body = self.next_frame(seconds)
        check(kind == AUTH, "not a proof of identity")
        self.peer = check_proof(self.mesh, body, 3 - self.side, self.exporter,
                                time.time())

    def open(self):
        """The handshake whole."""
        self.handshake()
        if self.side == DIALLER:
            self.prove()
            self.expect_proof()
        else:
            self.expect_proof()
            self.prove()
        return self

    def write(self, plain):
        for i in range(0, len(plain), FRAME_BYTES_MAX):
            self.tls.sendall(plain[i:i + FRAME_BYTES_MAX])
        self.flush()

    def send(self, lane, message):
        self.write(b"".join(message_frames(lane, message)))

    def close(self, code=0, text=""):
        try:
            self.write(frame(BYE, bytes([code]) + text.encode()))
        except (OSError, SSL.Error):
            pass
        self.sock.close()

    def next_frame(self, seconds):
        """The next (kind, body); None when nothing came."""
        until = time.monotonic() + seconds
        while not self.arrived:
            try:
                self.arrived += self.reader.feed(self.tls.recv(1 << 16))
            except SSL.WantReadError:
                self.flush()
                if not self.fill(until - time.monotonic()):
                    return None
            except SSL.Error as e:
                raise Closed(None, f"TLS: {e}") from None
        return self.arrived.pop(0)

    def receive(self, seconds):
        """The next (lane, message); None when nothing came."""
        until = time.monotonic() + seconds
        while True:
            got = self.next_frame(until - time.monotonic())
            if got is None:
                return None
            kind, body = got
            if kind == PING:
                self.write(frame(PONG, b""))
            elif kind == BYE:
                check(body, "a BYE without a reason")
                raise Closed(body[0], body[1:].decode("ascii", "replace"))
            elif kind < 4:
                return kind, body
            check(kind != AUTH, "a second proof")
