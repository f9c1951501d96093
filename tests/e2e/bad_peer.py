#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that break the protocol, one rule each: tako ends the link and says
why, or skips what may be skipped; and it goes on serving others. Also what a
newer peer may send: another minor version, features, more bytes."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "protocol"))
import debian  # noqa: E402,F401

from OpenSSL import SSL  # noqa: E402
from tako_e2e import Failed, World, need, need_equal  # noqa: E402

import catchup  # noqa: E402
import document  # noqa: E402
import link  # noqa: E402
import records  # noqa: E402
import session as sessions  # noqa: E402
from peer import Peer  # noqa: E402
from wire import block, u64, varint  # noqa: E402

SUBSCRIPTION = "SELECT * FROM `orders`"
NAME = b"orders", b"\x61x"


class Bad:
    """One bad peer, with a key of its own, against the device at address."""

    def __init__(self, address, secret):
        self.address = address
        self.peer = Peer("bad", secret, [SUBSCRIPTION])

    def stream(self):
        return self.peer.connect(self.address)

    def tls(self, **options):
        """Up to TLS: no proof yet."""
        return self.peer.new_link(self.stream(), link.DIALLER,
                                  **options).handshake()

    def up(self):
        """Proven: the link is up."""
        opened = self.tls()
        opened.prove()
        opened.expect_proof()
        return opened

    def greeted(self, **hello):
        """HELLO went out; tako's has come, and KNOWN."""
        opened = self.up()
        s = self.session = sessions.Session(
            self.peer.store, self.peer.mesh.id, opened.send,
            self.peer.subscriptions)
        s.send(sessions.HELLO, s.hello(**hello))
        s.catchup.subscribe(SUBSCRIPTION.encode())
        end = time.monotonic() + 10
        while not s.cleared:
            need(time.monotonic() < end, "no KNOWN")
            got = opened.receive(1)
            if got is not None:
                s.take(*got)
        return opened

    def serve(self, opened, seconds=10):
        """Until caught up: the session works."""
        end = time.monotonic() + seconds
        while self.session.catchup.asked[0].state != "in sync":
            need(time.monotonic() < end, "not caught up")
            got = opened.receive(0.2)
            if got is not None:
                self.session.take(*got)


def expect_end(opened, text):
    """tako closes, and says this."""
    end = time.monotonic() + 10
    try:
        while time.monotonic() < end:
            opened.receive(0.5)
    except link.Closed as e:
        need(text in e.text, f"the reason is {e.text!r}, not {text!r}")
        return
    raise Failed("tako does not close: " + text)


# ---- the link ---------------------------------------------------------------


def link_no_tls(bad):
    sock = bad.stream()
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
    sock.settimeout(10)
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass


def link_no_alpn(bad):
    try:
        opened = bad.tls(alpn=False)
        opened.prove()
        expect_end(opened, "")
    except link.Closed:
        pass


def link_tls_1_2(bad):
    made = bad.peer.new_link(bad.stream(), link.DIALLER)
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_alpn_protos([b"tako/1"])
    made.tls = SSL.Connection(context, None)
    made.tls.set_connect_state()
    try:
        made.handshake()
    except link.Closed:
        return
    raise Failed("TLS 1.2 was accepted")


def link_another_mesh(bad):
    opened = bad.tls()
    other = link.Mesh(b"another secret of 32 characters.")
    opened.grant = link.make_grant(other, link.claims(
        other, bad.peer.key.public, "bad"))
    opened.prove()
    expect_end(opened, "not signed by this mesh's authority")


def link_expired_grant(bad):
    mesh = bad.peer.mesh
    opened = bad.tls(grant=link.make_grant(mesh, link.claims(
        mesh, bad.peer.key.public, "bad", expires=1000)))
    opened.prove()
    expect_end(opened, "the grant expired")


def link_claim_that_must_be_understood(bad):
    mesh = bad.peer.mesh
    told = link.claims(mesh, bad.peer.key.public, "bad")
    more = link.cbor.encode(-65539) + b"\x01"
    opened = bad.tls(grant=link.make_grant(
        mesh, bytes([told[0] + 1]) + told[1:] + more))
    opened.prove()
    expect_end(opened, "claim -65539")


def link_claim_that_may_be_skipped(bad):
    """Numbers below -131072, and texts, are somebody else's."""
    mesh = bad.peer.mesh
    told = link.claims(mesh, bad.peer.key.public, "bad")
    more = link.cbor.encode(-131073) + b"\x01" + link.cbor.encode("x") + b"\2"
    opened = bad.tls(grant=link.make_grant(
        mesh, bytes([told[0] + 2]) + told[1:] + more))
    opened.prove()
    opened.expect_proof()
    opened.close()


def link_proof_of_another_version(bad):
    opened = bad.tls()
    proof = link.make_proof(opened.key, opened.grant, link.DIALLER,
                            opened.exporter)
    opened.write(link.frame(link.AUTH, proof[:1] + b"\2" + proof[2:]))
    expect_end(opened, "the proof of identity has version 2")


def link_proof_of_the_other_side(bad):
    opened = bad.tls()
    opened.write(link.frame(link.AUTH, link.make_proof(
        opened.key, opened.grant, link.ACCEPTER, opened.exporter)))
    expect_end(opened, "not of this device on this connection")


def link_proof_of_another_connection(bad):
    recorded = bad.tls().exporter
    opened = bad.tls()
    opened.exporter = recorded
    opened.prove()
    expect_end(opened, "not of this device on this connection")


def link_message_before_the_proof(bad):
    opened = bad.tls()
    opened.send(link.CONTROL, b"\1")
    expect_end(opened, "did not begin with its proof of identity")


def link_proof_too_long(bad):
    opened = bad.tls()
    opened.write(link.frame(link.AUTH, bytes(5000)))
    expect_end(opened, "a frame of kind 16 is too long")


def link_proof_twice(bad):
    opened = bad.up()
    opened.prove()
    expect_end(opened, "a second proof of identity")


def link_frame_too_long(bad):
    opened = bad.up()
    opened.write(varint(16385) + b"\4")
    expect_end(opened, "a frame is longer than 16384 bytes")


def link_length_not_shortest(bad):
    opened = bad.up()
    opened.write(b"\x81\0\4")
    expect_end(opened, "needless bytes")


def link_length_without_end(bad):
    opened = bad.up()
    opened.write(b"\x80\x80\x80\1")
    expect_end(opened, "no end")


def link_unknown_frame_that_must_be_known(bad):
    opened = bad.up()
    opened.write(link.frame(0x90, b"x"))
    expect_end(opened, "a frame of kind 144")


def link_unknown_frame_is_skipped(bad):
    opened = bad.greeted()
    opened.write(link.frame(0x20, b"of a later version"))
    bad.serve(opened)
    opened.close()


# ---- greeting ---------------------------------------------------------------


def greeting_message_before_hello(bad):
    opened = bad.up()
    opened.send(link.CONTROL, b"\x0b\1")
    expect_end(opened, "a message before HELLO")


def greeting_hello_twice(bad):
    opened = bad.greeted()
    bad.session.send(sessions.HELLO, bad.session.hello())
    expect_end(opened, "malformed HELLO")


def greeting_another_major(bad):
    opened = bad.up()
    s = sessions.Session(bad.peer.store, bad.peer.mesh.id, opened.send)
    s.send(sessions.HELLO, s.hello(major=9))
    expect_end(opened, "the peer speaks sync version 9, this one 1")


def greeting_short_hello(bad):
    opened = bad.up()
    s = sessions.Session(bad.peer.store, bad.peer.mesh.id, opened.send)
    s.send(sessions.HELLO, s.hello()[:40])
    expect_end(opened, "malformed HELLO")


def greeting_a_newer_minor_is_served(bad):
    opened = bad.greeted(minor=7, features=0x55,
                         more=b"fields of minor version 7")
    bad.serve(opened)
    opened.close()


# ---- messages ---------------------------------------------------------------


def message_empty(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"")
    expect_end(opened, "an empty message")


def message_on_the_wrong_lane(bad):
    opened = bad.greeted()
    opened.send(link.LIVE, b"\x0b\0")
    expect_end(opened, "a message on the wrong lane")


def message_unknown_that_must_be_known(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x7f")
    expect_end(opened, "a message of the unknown kind 127")


def message_unknown_optional_is_skipped(bad):
    opened = bad.greeted()
    for lane in (link.CONTROL, link.LIVE, link.CATCHUP):
        opened.send(lane, b"\xf0 of a later version")
    bad.serve(opened)
    opened.close()


def message_varint_of_11_bytes(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\3" + b"\xff" * 10 + b"\1")
    expect_end(opened, "malformed DROP")


def message_varint_not_shortest(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\3\x80\0")
    expect_end(opened, "malformed DROP")


def message_bytes_after_needs(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x0c\0 and more")
    expect_end(opened, "malformed NEEDS")


def interest(number, text=SUBSCRIPTION.encode(), flags=0):
    return (b"\2" + varint(number) + b"\0" + block(text)
            + catchup.Question(flags).put())


def message_bytes_after_interest(bad):
    """Are of a newer minor version."""
    opened = bad.greeted()
    opened.send(link.CONTROL, interest(1) + b" and more")
    bad.serve(opened)
    opened.close()


def message_short_question(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, interest(1)[:-1])
    expect_end(opened, "malformed question")


def message_unknown_flag_of_a_question(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, interest(1, flags=16))
    expect_end(opened, "malformed question")


def message_streaming_without_a_checkpoint(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, interest(1, flags=catchup.STREAMING) + u64(0))
    expect_end(opened, "malformed question")


def message_bytes_after_bye(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x0e" + block(b"I go") + b" and more")
    expect_end(opened, "malformed BYE")


def message_bye(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x0e" + block(b"I go"))
    expect_end(opened, "the peer ended the session: I go")


def message_ack_of_nothing(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x0b" + varint(1 << 40))
    expect_end(opened, "an ACK of what was not sent")


def message_needs_of_an_unknown_collection(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x0c\1" + block(b"none") + block(b"\x07")
                + block(b""))
    expect_end(opened, "NEEDS of a document that is not here")


def message_needs_with_a_bad_question(bad):
    """Two fields under one key."""
    field = block(b"a") + bytes(7) + b"\1"
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x0c\1" + block(b"none") + block(b"\x07")
                + block(b"\1\1" + bytes(16) + b"\1" + b"\2" + field + field))
    expect_end(opened, "malformed sums of fields")


def message_needs_of_what_is_gone(bad):
    """It may have been reaped: everything is asked anew."""
    opened = bad.greeted()
    bad.serve(opened)
    opened.send(link.CONTROL, b"\x0c\1" + block(b"orders") + block(b"\x07")
                + block(b""))
    end = time.monotonic() + 10
    while catchup.RESYNC not in bad.session.kinds_in:
        need(time.monotonic() < end, "no RESYNC")
        got = opened.receive(0.2)
        if got is not None:
            bad.session.take(*got)
    opened.close()


def message_interest_number_twice(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, interest(0))
    expect_end(opened, "malformed INTEREST")


def message_interest_that_is_none(bad):
    """Refused, with the reason; the session goes on."""
    opened = bad.greeted()
    opened.send(link.CONTROL, interest(1, b"SELECT FROM nothing"))
    asked = bad.session.catchup.asked
    asked[1] = catchup.Asked(1, b"")
    end = time.monotonic() + 10
    while "refused" not in asked[1].state:
        need(time.monotonic() < end, "no REFUSED")
        got = opened.receive(0.2)
        if got is not None:
            bad.session.take(*got)
    bad.serve(opened)
    opened.close()


# ---- documents --------------------------------------------------------------


def state_of(fields):
    doc = document.Document()
    document.Write(doc, (1700000000000 << 16, b"B" * 16)).insert(fields)
    return doc


def cut(opened, body):
    """One that ends, at the commit of the one before."""
    opened.send(link.LIVE, b"\x0a" + varint(1) + body)


def written(write):
    out = records.Writer(records.Tables())
    write(out)
    return out.out


def whole_state():
    return written(lambda w: w.state(NAME, *document.encode(
        state_of({"f": 1}))))


def document_before_known(bad):
    """tako must have had time to say who it is."""
    opened = bad.up()
    cut(opened, whole_state())
    expect_end(opened, "a message before KNOWN")


def document_cut_off(bad):
    opened = bad.greeted()
    cut(opened, whole_state()[:-3])
    expect_end(opened, "malformed record: short state")


def document_of_an_unknown_slot(bad):
    opened = bad.greeted()
    cut(opened, varint(77 << 3 | records.STATE) + b"\0")
    expect_end(opened, "malformed record: unknown document number")


def document_unknown_tag(bad):
    opened = bad.greeted()
    cut(opened, varint(records.SEEN))
    expect_end(opened, "malformed record: unknown tag")


def document_slot_too_far(bad):
    opened = bad.greeted()
    cut(opened, varint(5 << 3 | records.KEY) + block(b"key"))
    expect_end(opened, "malformed record: definition")


def document_collection_defined_twice(bad):
    opened = bad.greeted()
    one = varint(records.COLLECTION) + block(b"orders")
    cut(opened, one + one)
    expect_end(opened, "malformed record: collection defined twice")


def document_not_asked_for(bad):
    opened = bad.greeted()
    cut(opened, written(lambda w: w.state(
        (b"secrets", b"\x61x"), *document.encode(state_of({"f": 1})))))
    expect_end(opened, "a collection that was not asked for")


def document_id_not_cbor(bad):
    opened = bad.greeted()
    cut(opened, written(lambda w: w.state(
        (b"orders", b"\x62x"), *document.encode(state_of({"f": 1})))))
    expect_end(opened, "malformed record: _id")


def document_not_in_its_one_form(bad):
    opened = bad.greeted()
    meta, body = document.encode(state_of({"f": 1}))
    cut(opened, written(lambda w: w.state(NAME, meta + bytes(4), body)))
    expect_end(opened, "stored document: not in its one form")


def document_delta_of_a_false_base_among_states(bad):
    """Is asked for, at the latest when a cut ends."""
    opened = bad.greeted()
    doc, beside = state_of({"f": 1}), state_of({"g": 1})
    base = dict(doc.context)
    document.Write(doc, (1700000000001 << 16, b"B" * 16)).set(["f"], 2)

    def write(w):
        w.delta(NAME, doc, base, None, bad.session.sum_key)
        w.state((b"orders", b"\x66beside"), *document.encode(beside))

    opened.send(link.CATCHUP, b"\7\0\0" + written(write))
    cut(opened, b"")
    expect_needs(bad, opened)
    opened.close()


def document_unknown_flag_of_states(bad):
    opened = bad.greeted()
    opened.send(link.CATCHUP, b"\7\0\4" + whole_state())
    expect_end(opened, "malformed STATES")


def document_malformed_delta(bad):
    opened = bad.greeted()
    good = written(lambda w: w.delta(NAME, state_of({"f": 1}), {}, None,
                                     bytes(16)))
    cut(opened, good[:-1] + b"\xff")
    expect_end(opened, "malformed delta")


def document_delta_of_a_false_base(bad):
    """Is no breach: tako asks for the whole document."""
    opened = bad.greeted()
    doc = state_of({"f": 1})
    base = dict(doc.context)
    document.Write(doc, (1700000000001 << 16, b"B" * 16)).set(["f"], 2)
    cut(opened, written(lambda w: w.delta(
        NAME, doc, base, None, bad.session.sum_key)))
    expect_needs(bad, opened)
    opened.close()


def expect_needs(bad, opened):
    end = time.monotonic() + 10
    while sessions.live.NEEDS not in bad.session.kinds_in:
        need(time.monotonic() < end, "no NEEDS")
        got = opened.receive(0.2)
        if got is not None and got[1][0] == sessions.live.NEEDS:
            need_equal(got[1][1:], varint(1) + block(NAME[0])
                       + block(NAME[1]) + block(b""), "what tako needs")
            bad.session.kinds_in.append(got[1][0])
        elif got is not None:
            bad.session.take(*got)


# ---- claims -----------------------------------------------------------------


def claims_cut_off(bad):
    opened = bad.greeted()
    cut(opened, b"\6\0\1")
    expect_end(opened, "malformed claims")


def claims_of_nothing(bad):
    """Of an actor, up to the hlc 0: only what is lacking may say so."""
    opened = bad.greeted()
    cut(opened, b"\6\1\1\0" + b"B" * 16 + b"\0")
    expect_end(opened, "malformed claims")


def claims_of_an_unknown_kind(bad):
    opened = bad.greeted()
    cut(opened, b"\6\5\0")
    expect_end(opened, "malformed claims")


def claims_among_states(bad):
    opened = bad.greeted()
    opened.send(link.CATCHUP, b"\7\0\0\6\0\0")
    expect_end(opened, "claims among states")


def claims_of_an_unknown_number_are_skipped(bad):
    opened = bad.greeted()
    cut(opened, b"\6" + varint(16 * 77 + 2) + b"\1\0" + b"B" * 16 + b"\1\4")
    bad.serve(opened)
    opened.close()


def claims_mode_unknown(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x1c\0\3")
    expect_end(opened, "malformed MODE")


def claims_target_cut_off(bad):
    opened = bad.greeted()
    opened.send(link.CATCHUP, b"\x1d\0" + b"B" * 9)
    expect_end(opened, "a malformed vector")


def claims_summary_neither_whole_nor_not(bad):
    opened = bad.greeted()
    opened.send(link.CONTROL, b"\x1e\0\2")
    expect_end(opened, "malformed SUMMARY")


# ---- catching up ------------------------------------------------------------


def caught_up(bad, more=b""):
    """Both questions are answered; messages come after each other's end."""
    opened = bad.greeted()
    bad.serve(opened)
    if more:
        opened.send(link.CATCHUP, more)
    return opened


def catchup_lists_unasked(bad):
    expect_end(caught_up(bad, b"\5\0"), "LISTS that nobody asked for")


def catchup_caught_up_unasked(bad):
    expect_end(caught_up(bad, b"\x08\0\1"),
               "CAUGHT_UP that nobody asked for")


def catchup_list_unasked(bad):
    expect_end(caught_up(bad, b"\6\0\1"), "a LIST that nobody asked for")


def catchup_list_of_half_an_item(bad):
    expect_end(caught_up(bad, b"\6\0\1" + bytes(8)), "malformed LIST")


def catchup_ask_unasked(bad):
    expect_end(caught_up(bad, b"\x14\0" + catchup.Question().put()),
               "ASK out of turn")


def catchup_fed_unasked(bad):
    expect_end(caught_up(bad, b"\x15\0"), "FED that nobody asked for")


def catchup_symbols_unasked(bad):
    expect_end(caught_up(bad, b"\x16\0\4\0"),
               "SYMBOLS that nobody asked for")


def catchup_symbols_of_unknown_flags(bad):
    expect_end(caught_up(bad, b"\x16\0\x10\0"), "malformed SYMBOLS")


def catchup_more_unasked(bad):
    opened = caught_up(bad)
    opened.send(link.CONTROL, b"\x17\0\1")
    expect_end(opened, "MORE out of turn")


def catchup_seen_of_another_tag(bad):
    expect_end(caught_up(bad, b"\x18\0\1" + varint(records.KEY)
                         + block(b"key")), "malformed record: unknown tag")


def catchup_seen_too_late_is_skipped(bad):
    """Only its names count."""
    opened = caught_up(bad, b"\x18\0\1" + written(
        lambda w: w.seen(7, {b"B" * 16: 1 << 16})))
    bad.serve(opened)
    opened.close()


def catchup_packed_that_is_none(bad):
    expect_end(caught_up(bad, b"\x19" + varint(600) + b"no frame"), "PACKED")


# ---- the dead ---------------------------------------------------------------


def dead_of_an_unknown_kind(bad):
    opened = caught_up(bad)
    opened.send(link.CONTROL, b"\x25" + block(b"orders") + b"\x08\0"
                + block(b"\1") + varint(0))
    expect_end(opened, "malformed DEAD")


def dead_graves_unasked(bad):
    opened = caught_up(bad)
    opened.send(link.CONTROL, b"\x24\2" + block(b"orders") + b"\xff")
    expect_end(opened, "malformed GRAVES")


# ---- the other way round: tako dials ------------------------------------------


class BadAccepter:
    """Takes the next stream that tako opens, up to tako's proof."""

    def __init__(self, peer):
        self.peer = peer

    def stream(self, **options):
        sock, _ = self.peer.listener.accept()
        return self.peer.new_link(sock, link.ACCEPTER, **options)

    def proven(self, **options):
        opened = self.stream(**options).handshake()
        opened.expect_proof()
        return opened


def accepter_of_another_mesh(bad):
    other = link.Mesh(b"another secret of 32 characters.")
    opened = bad.proven(grant=link.make_grant(other, link.claims(
        other, bad.peer.key.public, "bad")))
    opened.prove()
    expect_end(opened, "not signed by this mesh's authority")


def accepter_gives_the_proof_back(bad):
    """What the dialler has just proven proves nothing of the accepter."""
    opened = bad.stream().handshake()
    opened.write(link.frame(*opened.next_frame(10)))
    expect_end(opened, "not of this device on this connection")


def accepter_without_a_proof(bad):
    opened = bad.proven()
    opened.send(link.CONTROL, b"\1")
    expect_end(opened, "did not begin with its proof of identity")


def accepter_without_alpn(bad):
    made = bad.stream()
    context = link.tls_context(True)
    context.set_alpn_select_callback(
        lambda *_: SSL.NO_OVERLAPPING_PROTOCOLS)
    made.tls = SSL.Connection(context, None)
    made.tls.set_accept_state()
    try:
        made.handshake()
        expect_end(made, "")
    except link.Closed:
        pass


def cases(*kinds):
    for name, case in list(globals().items()):
        if name.startswith(kinds) and callable(case):
            yield name, case


def dialled(world, secret):
    """tako comes back after each, and syncs with who proves itself."""
    peer = Peer("bad", secret, [SUBSCRIPTION])

    class Address:
        address = peer.listen()

    till = world.device("till").start(Address)
    till.query("INSERT INTO orders DOCUMENTS ({'_id': 'till', 'n': 1})")
    for name, case in cases("accepter_"):
        case(BadAccepter(peer))
        print("ok " + name.replace("_", " "))
    peer.accept()
    peer.until(lambda: peer.store.fields("orders", "till") == {"n": 1}, 10,
               "a good accepter gets the documents")
    peer.leave()
    till.stop()


if __name__ == "__main__":
    with World(seconds=150) as world:
        secret = pathlib.Path(world.secret).read_bytes()
        shop = world.device("shop").start()
        shop.query("INSERT INTO orders DOCUMENTS ({'_id': 1, 'n': 0})")
        other = Peer("other", secret, [SUBSCRIPTION])
        other.join(shop.address)
        for count, (name, case) in enumerate(
                cases("link_", "greeting_", "message_", "document_",
                      "catchup_", "claims_", "dead_"), 1):
            case(Bad(shop.address, secret))
            # Meanwhile another one is served.
            shop.query("UPDATE orders SET n = :n WHERE _id = 1", n=count)
            other.until(lambda: (other.store.fields("orders", 1) or {}).get(
                "n") == count, 10, "the other is served after " + name)
            print("ok " + name.replace("_", " "))
        need(count > 60, "too few cases were found")
        other.leave()
        dialled(world, secret)
        shop.stop()
        shop.check()
