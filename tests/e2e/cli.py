#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every sub-command alone: exit status, help, output, errors."""
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time

import tako_e2e
from tako_e2e import World, need, need_equal

COMMANDS = ["query", "shell", "import", "export", "run", "watch", "conflicts",
            "peer",
            "wait", "secret", "status", "hash", "check", "compact", "backup",
            "restore", "probe"]


def case_help_and_version(world):
    version = world.call("--version").stdout
    need(re.fullmatch(r"tako \d+\.\d+\.\d+\n", version), version)
    usage = world.call("help").stdout
    for name in COMMANDS:
        need(f"  {name} " in usage, f"{name} is not in `tako help`")
        text = world.call(name, "--help").stdout
        need(f"usage: tako {name}" in text and "examples:" in text,
             f"help of {name}: {text}")
        need_equal(world.call("help", name).stdout, text, f"help {name}")


def case_wrong_usage_is_2(world):
    for args, hint in [
            ([], "usage"), (["qery", "x"], "did you mean query?"),
            (["help", "qery"], "did you mean query?"),
            (["help", "query", "x"], "too many"),
            (["--version", "x"], "too many"),
            (["query"], "argument is missing"),
            (["query", "a", "b", "c"], "too many"),
            (["query", "a", "b", "--agr", "x"], "did you mean --arg"),
            (["query", "a", "b", "--arg"], "needs a value"),
            (["query", "a", "b", "--arg", "x"], "name=JSON"),
            (["query", "a", "b", "--arg", "x={"], "x={"),
            (["query", "a", "b", "-x"], "two dashes"),
            (["import", "a", "b", "--batch", "many"], "not a number"),
            (["import", "a", "b", "--batch", "0"], "--batch"),
            (["import", "a", "b", "--on-conflict", "cry"],
             "fail|skip|update"),
            (["run", "a", "--listen", "tcp://127.0.0.1:0"], "tako secret"),
            (["peer", "ad", "a", "b"], "add or remove"),
            (["query", "a", "b", "--arg", "x=1", "--arg", "x=2"], "twice"),
            (["wait", "a"], "--commit"),
            (["wait", "a", "--commit", "x"], "not a number"),
            (["wait", "a", "--commit", "1", "--timeout", "99999999"],
             "--timeout"),
            (["probe", "xml"], "json, cbor")]:
        got = world.call(*args, status=2)
        need_equal(got.stdout, "", f"standard output of {args}")
        need(hint in got.stderr, f"{args}: {got.stderr}")


def case_query(world):
    db = "query.db"
    said = world.call("query", db, "INSERT INTO c DOCUMENTS (:d)", "--arg",
                      'd={"_id":"x","n":1,"s":"é"}').stdout
    said = json.loads(said)
    need_equal(said["mutated"], ["x"], "mutated")
    need(said["commit"] > 0, "commit")
    rows = world.call("query", db, "SELECT * FROM c WHERE n = :n;",
                      "--args", "-", stdin='{"n":\n1}').stdout
    need_equal([json.loads(r) for r in rows.splitlines()],
               [{"_id": "x", "n": 1, "s": "é"}], "rows")
    said = world.call("query", db, "UPDATE c SET n = 2 RETURNING n").stdout
    rows = [json.loads(r) for r in said.splitlines()]
    need_equal(rows[0], {"n": 2}, "RETURNING")
    need_equal([rows[1]["mutated"], len(rows[1])], [["x"], 2], "and the rest")
    need_equal(world.call("query", db, "SELECT * FROM none").stdout, "",
               "an unknown collection is empty")
    need_equal(stat.S_IMODE(os.stat(world.folder / db).st_mode), 0o600,
               "mode of the file")


def case_errors_of_statements(world):
    got = world.call("query", "e.db", "SELECT *\nFRM c", status=1)
    lines = got.stderr.splitlines()
    need("line 2 column 1" in lines[0], got.stderr)
    need_equal(lines[1:3], ["  FRM c", "  ^"], "the caret")
    got = world.call("query", "e.db", "SELECT * FROM c; SELECT * FROM d",
                     status=1)
    need("one statement at a time" in got.stderr and "column 18"
         in got.stderr, got.stderr)
    world.call("query", "e.db", "  -- nothing\n;", status=1)
    world.call("query", "e.db", "SELECT ';' AS a FROM c /* ; */ ; -- end")
    world.call("query", "e.db", "INSERT INTO c DOCUMENTS ({'_id':1})")
    got = world.call("query", "e.db", "INSERT INTO c DOCUMENTS ({'_id':1})",
                     status=1)
    need(got.stderr.startswith("tako: "), got.stderr)
    got = world.call("query", "e.db", "SELECT * FROM c WHERE a = :p",
                     status=1)
    need("p" in got.stderr, got.stderr)
    world.call("query", "e.db", "BEGIN", status=1)


def case_missing_and_foreign_files(world):
    for args in (["status"], ["hash"], ["check"], ["compact"]):
        got = world.call(*args, "absent.db", status=1)
        need("absent.db" in got.stderr, got.stderr)
        need(not os.path.exists(world.folder / "absent.db"), "made a file")
    world.call("export", "absent.db", "c", status=1)
    (world.folder / "foreign.db").write_bytes(b"no database" * 1000)
    for args in (["query", "foreign.db", "SELECT * FROM c"],
                 ["check", "foreign.db"]):
        world.call(*args, status=1)
    (world.folder / "folder.db").mkdir()
    (world.folder / "empty.db").touch()
    for file, reason in [
            ("no/folder/a.db", "its folder: No such file"),
            ("folder.db", "it is a directory"), (".", "it is a directory"),
            ("empty.db", "is empty"), ("", "its name is empty"),
            ("foreign.db", "not a database")]:
        for args in (["status", file], ["run", file]):
            if args[0] == "run" and file == "empty.db":
                continue  # is made into a database
            got = world.call(*args, status=1)
            need("cannot open the database" in got.stderr
                 and reason in got.stderr and file in got.stderr
                 and got.stderr.count("\n") == 1, got.stderr)
    got = world.call("import", "i.db", "c", "folder.db", status=1)
    need("folder.db" in got.stderr and "directory" in got.stderr, got.stderr)
    got = world.call("restore", "foreign.db", "new.db", status=1)
    need("foreign.db" in got.stderr, got.stderr)
    need(not os.path.exists(world.folder / "new.db"), "a part was left")


def case_a_newer_format(world):
    world.call("query", "n.db", "INSERT INTO c DOCUMENTS ({'_id':1})")
    with open(world.folder / "n.db", "r+b") as f:
        f.seek(60)  # SQLite's user_version: the format
        f.write((99).to_bytes(4, "big"))
    for args in (["status", "n.db"], ["run", "n.db"],
                 ["restore", "n.db", "m.db"]):
        got = world.call(*args, status=1)
        need("format 99" in got.stderr, got.stderr)
    need(not os.path.exists(world.folder / "m.db"), "a part was left")


def case_a_damaged_file(world):
    world.call("import", "x.db", "c", stdin="".join(
        json.dumps({"_id": i, "t": "x" * 100}) + "\n" for i in range(3000)))
    with open(world.folder / "x.db", "r+b") as f:
        f.seek(4096 * 100)  # well inside the documents
        f.write(b"\xff" * 8192)
    for args in (["export", "x.db", "c"], ["hash", "x.db"],
                 ["query", "x.db", "SELECT count(*) AS n FROM c"]):
        got = world.call(*args, status=1)
        need(got.stderr.startswith("tako: x.db: "), got.stderr)
    told = world.call("check", "x.db", "--json", status=1).stdout
    told = json.loads(told)
    need(told["findings"] and not told["ok"], str(told))
    world.call("backup", "x.db", "x.backup", status=None)
    world.call("restore", "x.backup", "y.db", status=1)


def case_closed_standard_files(world):
    """Nothing that is printed lands in the database's own files."""
    def closed(fd, *args):
        return subprocess.run(["sh", "-c", f'"$@" {fd}', "sh", world.tako,
                               *args], cwd=world.folder, timeout=20,
                              stderr=subprocess.PIPE, text=True)
    world.call("query", "z.db", "INSERT INTO c DOCUMENTS ({'_id':1})")
    for args in (["query", "z.db", "SELECT * FROM c"], ["status", "z.db"],
                 ["secret"], ["help"]):
        got = closed(">&-", *args)
        need_equal(got.returncode, 1, f"{args} with no standard output")
        need("cannot write" in got.stderr, got.stderr)
    for args in (["import", "z.db", "c"], ["shell", "z.db"],
                 ["probe", "json"]):
        got = closed("<&-", *args)
        need_equal(got.returncode, 1, f"{args} with no standard input")
        need("standard input" in got.stderr, got.stderr)
    need_equal(closed("2>&-", "query", "z.db", "SELEC").returncode, 1,
               "no standard error")
    for suffix in (".lock", ".seal"):
        text = (world.folder / f"z.db{suffix}").read_bytes()
        need(b"tako:" not in text and b"_id" not in text, str(text))
    need_equal(world.call("check", "z.db").stdout, "ok\n", "check")


def case_an_import_that_is_interrupted(world):
    """^C: what was committed stays, the file is sound, the lock is free."""
    (world.folder / "many.jsonl").write_text("".join(
        f'{{"_id":{i}}}\n' for i in range(300000)))
    process = subprocess.Popen(
        [world.tako, "import", "int.db", "c", "many.jsonl"],
        cwd=world.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    tako_e2e.wait_until(lambda: os.path.exists(world.folder / "int.db-wal"),
                        20, "the import begins")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    need(process.returncode in (-signal.SIGINT, 0), str(process.returncode))
    need_equal(world.call("check", "int.db").stdout, "ok\n", "check")
    count = json.loads(world.call(
        "query", "int.db", "SELECT count(*) AS n FROM c").stdout)["n"]
    need(count % 1000 == 0 and (count < 300000) == (process.returncode != 0),
         f"{count} documents")


def case_import_export(world):
    docs = [{"_id": f"d{i}", "n": i} for i in range(2500)]
    text = "\n".join(json.dumps(d) for d in docs)
    got = world.call("import", "i.db", "c", "--json", stdin=text).stdout
    need_equal(json.loads(got), {"read": 2500, "written": 2500}, "import")
    out = world.call("export", "i.db", "c").stdout
    back = sorted((json.loads(x) for x in out.splitlines()),
                  key=lambda d: d["n"])
    need_equal(back, docs, "what comes out")
    (world.folder / "array.json").write_text(json.dumps(docs, indent=1))
    world.call("import", "j.db", "c", "array.json", "--batch", "100")
    need_equal(sorted(world.call("export", "j.db", "c").stdout.splitlines()),
               sorted(out.splitlines()), "an array, in smaller batches")
    for empty in ("", "\n\n", "[]", " [ ] \n"):
        world.call("import", "j.db", "c", stdin=empty)
    got = world.call("import", "j.db", "odd `name` ü", stdin='{"_id":1}')
    out = world.call("export", "j.db", "odd `name` ü").stdout
    need_equal(json.loads(out), {"_id": 1}, "an odd name")


def case_import_conflicts(world):
    world.call("import", "k.db", "c", stdin='{"_id":1,"a":1}')
    got = world.call("import", "k.db", "c", status=1,
                     stdin='{"_id":5}\n\n{"_id":6}\n{"_id":1,"a":2}\n')
    need("line 4" in got.stderr, got.stderr)
    need_equal(len(world.call("export", "k.db", "c").stdout.splitlines()),
               1, "a batch that fails leaves nothing")
    world.call("import", "k.db", "c", "--on-conflict", "skip",
               stdin='{"_id":1,"a":3}\n{"_id":2,"a":3}')
    world.call("import", "k.db", "c", "--on-conflict", "update",
               stdin='{"_id":2,"b":4}')
    rows = [json.loads(x) for x in
            world.call("query", "k.db", "SELECT * FROM c ORDER BY _id")
            .stdout.splitlines()]
    need_equal(rows, [{"_id": 1, "a": 1}, {"_id": 2, "a": 3, "b": 4}],
               "skip and update")


def case_import_errors_name_the_line(world):
    for text, place in [
            ('{"a":1}\n{"a":}\n', "line 2 column 6"),
            ('{"a":1}\n7\n', "line 2"), ('\n\n{"a":1', "line 3"),
            ('[\n{"a":1},\n{"a":x}\n]', "line 3"),
            ('[{"a":1},\n', "line 2"), ('[{"a":1},]', "line 1"),
            ('[{"a":1}]\n5', "line 2"), ('{"a":1} {"b":2}', "line 1")]:
        got = world.call("import", "l.db", "c", stdin=text, status=1)
        need(place in got.stderr, f"{text!r}: {got.stderr}")


def case_hash_status_check_compact(world):
    world.call("import", "h.db", "a", stdin='{"_id":1}\n{"_id":2}')
    world.call("import", "h.db", "b", stdin='{"_id":1}')
    whole = world.call("hash", "h.db").stdout
    need(re.fullmatch(r"[0-9a-f]{64}\n", whole), whole)
    need(world.call("hash", "h.db", "a").stdout != whole, "per collection")
    told = json.loads(world.call("hash", "h.db", "a", "--json").stdout)
    need_equal(told["documents"], 2, "documents of a")
    status = json.loads(world.call("status", "h.db", "--json").stdout)
    need_equal(status["documents"], 3, "documents")
    need("documents" in world.call("status", "h.db").stdout, "for people")
    need_equal(world.call("check", "h.db").stdout, "ok\n", "check")
    need(json.loads(world.call("check", "h.db", "--json").stdout)["ok"],
         "check --json")
    world.call("compact", "h.db")


def case_backup_restore(world):
    world.call("import", "b.db", "c", stdin='{"_id":1}\n{"_id":2}')
    world.call("backup", "b.db", "b.backup")
    world.call("backup", "b.db", "b.backup", status=1)
    world.call("restore", "b.backup", "r.db")
    world.call("restore", "b.backup", "r.db", status=1)
    world.call("restore", "absent", "s.db", status=1)
    need_equal(world.call("hash", "r.db").stdout,
               world.call("hash", "b.db").stdout, "hash of the restored")
    actors = {json.loads(world.call("status", f, "--json").stdout)["actor"]
              for f in ("b.db", "r.db")}
    need_equal(len(actors), 2, "a restored database has its own identity")


def case_shell(world):
    text = ("INSERT INTO c DOCUMENTS ({'_id':1,\n'a':';'});"
            "SELECT * FROM c; -- done\n.collections\n")
    out = world.call("shell", "s1.db", stdin=text).stdout.splitlines()
    need_equal(json.loads(out[0])["mutated"], [1], "insert")
    need_equal(json.loads(out[1]), {"_id": 1, "a": ";"}, "select")
    need_equal(json.loads(out[2]), ["c"], ".collections")
    world.call("shell", "s1.db", stdin="BEGIN; DELETE FROM c; ROLLBACK;")
    count = "SELECT count(*) AS n FROM c"
    need_equal(world.call("query", "s1.db", count).stdout, '{"n":1}\n',
               "after a rollback")
    world.call("shell", "s1.db", stdin="BEGIN; DELETE FROM c;", status=1)
    need_equal(world.call("query", "s1.db", count).stdout, '{"n":1}\n',
               "after an end inside a transaction")
    world.call("shell", "s1.db", stdin="BEGIN; DELETE FROM c; COMMIT;")
    need_equal(world.call("query", "s1.db", count).stdout, '{"n":0}\n',
               "after a commit")
    world.call("shell", "s1.db", stdin="SELEC 1;", status=1)
    world.call("shell", "s1.db", stdin=".nonsense\n", status=1)
    table = world.call(
        "shell", "s1.db", stdin=".mode table\nINSERT INTO c DOCUMENTS "
        "({'_id':1,'name':'Inés'});\nSELECT * FROM c;\n").stdout
    need("_id  name\n---  ----\n1    Inés\n" in table, table)
    table = world.call(
        "shell", "s1.db", stdin=".mode table\n"
        "UPDATE c SET name = 'Ana' RETURNING *;\n").stdout
    need("_id  name\n---  ----\n1    Ana\n{\"mutated\":[1]" in table, table)


def case_probe_query(world):
    lines = [
        {"statement": "INSERT INTO c DOCUMENTS (:d)",
         "args": {"d": [{"_id": 1, "a": 2}, {"_id": 2}]}},
        {"statement": "SELECT a FROM c WHERE _id = :i", "args": {"i": 1}},
        {"statement": "SELECT * FROM c WHERE _id = 9"},
        {"statement": "SELEKT"}, {"no": 1},
        {"statement": "UPDATE c SET a = 3 WHERE a = 2 RETURNING a"},
        {"statement": "DELETE FROM c WHERE a = 2 RETURNING a"},
    ]
    out = world.call("probe", "query",
                     stdin="\n".join(json.dumps(x) for x in lines)).stdout
    answers = [json.loads(x) for x in out.splitlines()]
    need_equal(answers[0]["mutated"], [1, 2], "mutated")
    need_equal(answers[1], {"items": [{"a": 2}]}, "items")
    need_equal(answers[2], {"items": []}, "no items")
    need("error" in answers[3] and "error" in answers[4], "errors")
    need(answers[5].pop("commit") > 0, "commit")
    need_equal(answers[5], {"items": [{"a": 3}], "mutated": [1]}, "RETURNING")
    need_equal(answers[6], {"items": [], "mutated": [], "commit": 0},
               "RETURNING of nothing")
    need_equal([x for x in os.listdir("/tmp")
                if x.startswith("tako-probe-")
                and os.stat(f"/tmp/{x}").st_mtime > time.time() - 5], [],
               "temporary files")


def case_two_processes_wait(world):
    """Short-lived processes meet on one file: all of them get their turn."""
    processes = [subprocess.Popen(
        [world.tako, "query", "w.db", "INSERT INTO c DOCUMENTS (:d)",
         "--arg", f'd={{"_id":{i}}}'], cwd=world.folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(6)]
    for process in processes:
        out, err = process.communicate(timeout=30)
        need_equal(process.returncode, 0, f"{out} {err}")
    need_equal(world.call("query", "w.db",
                          "SELECT count(*) AS n FROM c").stdout,
               '{"n":6}\n', "documents")


def case_a_database_that_is_held(world):
    """A shell has it open, and no socket: the next one waits, then says so."""
    holder = subprocess.Popen([world.tako, "shell", "held.db"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              cwd=world.folder, text=True)
    holder.stdin.write("SELECT count(*) AS n FROM c;\n")
    holder.stdin.flush()
    need_equal(holder.stdout.readline(), '{"n":0}\n', "the holder's answer")
    start = time.monotonic()
    got = world.call("query", "held.db", "SELECT * FROM c", status=1)
    took = time.monotonic() - start
    need("another process has it" in got.stderr, got.stderr)
    need(4 < took < 9, f"waited {took:.1f} s")
    holder.stdin.close()
    need_equal(holder.wait(10), 0, "the holder's exit status")
    holder.stdout.close()
    world.call("query", "held.db", "SELECT * FROM c")


def case_run_alone(world):
    device = world.device("alone")
    device.start()
    need(device.address.startswith("tcp://127.0.0.1:"), device.address)
    need(not device.address.endswith(":0"), device.address)
    path = device.db + ".sock"
    need_equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "socket's mode")
    got = world.call("run", device.db, status=1)
    need("cannot open" in got.stderr, got.stderr)
    took = device.stop()
    need("secret_not_private" not in device.log_tail(), device.log_tail())
    need(took < 3, f"{took:.1f} s to stop")
    need(not os.path.exists(path), "the socket is left behind")
    need(len(world.call("secret").stdout.strip()) == 64, "secret")
    os.chmod(world.secret, 0o644)
    device.start()
    device.stop()
    need("secret_not_private" in device.log_tail(), device.log_tail())
    os.chmod(world.secret, 0o600)


def case_stale_and_foreign_sockets(world):
    device = world.device("stale", sync=False)
    device.start()
    device.kill()
    need(os.path.exists(device.db + ".sock"), "a killed process leaves it")
    device.import_docs("orders", [{"_id": 1}])
    device.start()
    need_equal(device.count(), 1, "documents")
    device.stop()
    with open(device.db + ".sock", "w", encoding="utf-8") as f:
        f.write("mine")
    got = world.call("run", device.db, status=1)
    need("not a socket" in got.stderr, got.stderr)
    os.unlink(device.db + ".sock")


def case_long_paths(world):
    folder = world.folder / ("d" * 120) / ("e" * 120)
    folder.mkdir(parents=True)
    device = world.device("long", sync=False)
    device.db = str(folder / "long.db")
    device.start()
    device.import_docs("orders", [{"_id": 1}])
    need_equal(device.count(), 1, "documents")
    device.stop()
    got = world.call("run", "n" * 100 + ".db", status=1)
    need("too long" in got.stderr, got.stderr)


def case_output_that_nobody_reads(world):
    device = world.device("unread", sync=False)
    device.import_docs("orders", [{"_id": i, "t": "x" * 200}
                                  for i in range(5000)])
    process = subprocess.Popen([world.tako, "export", device.db, "orders"],
                               stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    need_equal(process.wait(30), 1, "exit status with a closed pipe")
    need_equal(process.stderr.read().count(b"\n"), 1, "one line says why")
    process.stderr.close()


def case_notes_and_plans(world):
    device = world.device("plans", sync=False)
    device.import_docs("orders", [{"_id": 1, "status": "open"}])
    got = world.call("query", device.db, "SELECT * FROM ordres")
    need_equal(got.stdout, "", "no rows")
    need_equal(got.stderr, "note: there is no collection ordres; did you mean "
               "orders?\n", "the note")
    got = world.call("shell", device.db, stdin="SELECT * FROM `x\"y`;")
    need_equal(got.stderr, 'note: there is no collection x\\"y\n', "in a shell")
    got = world.call("probe", "query", device.db,
                     stdin='{"statement":"SELECT * FROM ordres"}\n'
                           '{"statement":"SELECT * FROM orders"}\n')
    need_equal([json.loads(line) for line in got.stdout.splitlines()],
               [{"items": [], "note": "there is no collection ordres; did you "
                                      "mean orders?"},
                {"items": [{"_id": 1, "status": "open"}]}], "of the probe")
    advice = device.query("ADVISE AND PROVISION SELECT * FROM orders WHERE "
                          "status = 'open'")
    need_equal(advice[0]["statement"],
               "CREATE INDEX by_status ON orders (status)", "advice")
    plan = device.query("PROFILE SELECT * FROM orders WHERE status = 'open'")[0]
    need_equal(plan["plan"], [{"op": "IndexSearch", "collection": "orders",
                               "index": "by_status", "on": "status = ?",
                               "documents": 1}], "the plan")
    need_equal(plan["rows"], 1, "rows")


if __name__ == "__main__":
    with World(seconds=110) as the_world:
        tako_e2e.run_cases(sys.modules[__name__], the_world)
