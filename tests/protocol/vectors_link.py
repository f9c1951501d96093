# SPDX-License-Identifier: Apache-2.0
"""The test vectors of tests/golden/protocol/link.jsonl."""
import debian  # noqa: F401
import link
from differs import Differs, raw, same
from wire import Malformed


def mesh_case(case):
    mesh = link.Mesh(raw(case["secret"]))
    same(mesh.authority.public, raw(case["authority"]), "the authority")
    same(mesh.id, raw(case["id"]), "the mesh id")


def secret_mesh():
    return link.Mesh(b"0123456789abcdef")


def grant_case(case):
    mesh, key = secret_mesh(), link.Key(raw(case["seed"]))
    same(key.public, raw(case["device"]), "the device's key")
    same(link.make_grant(mesh, link.claims(
        mesh, key.public, case["subject"], case["roles"], case["issued"],
        case.get("expires"))), raw(case["grant"]), "the grant")
    try:
        got = link.check_grant(mesh, raw(case["grant"]), case["now"])
        same(got, (key.public, case["subject"]), "who it is for")
        good = True
    except link.Denied:
        good = False
    same(good, case["good"], "whether it holds")


def proof_case(case):
    key, grant = link.Key(raw(case["seed"])), raw(case["grant"])
    exporter = raw(case["exporter"])
    proof = link.make_proof(key, grant, case["side"], exporter)
    same(proof, raw(case["proof"]), "the proof")
    link.check_proof(secret_mesh(), proof, case["side"], exporter, 0)
    for side, other in ((3 - case["side"], exporter),
                        (case["side"], bytes(32))):
        try:
            link.check_proof(secret_mesh(), proof, side, other, 0)
        except link.Denied:
            continue
        raise Differs("a proof that fits elsewhere")


def frames_case(case):
    data = raw(case["bytes"])
    for step in (len(data), 1):  # at once, and byte by byte
        r, got = link.FrameReader(), []
        try:
            for i in range(0, len(data), step):
                got += r.feed(data[i:i + step])
            good = True
        except Malformed:
            good = False
        same(good, case["good"], "whether they are frames")
        if good:
            same([[lane, m.hex()] for lane, m in got if lane < 4],
                 case["messages"], "the messages")


CASES = {"mesh": mesh_case, "grant": grant_case, "proof": proof_case,
         "frames": frames_case}
