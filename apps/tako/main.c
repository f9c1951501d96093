// SPDX-License-Identifier: Apache-2.0
/* TAKO -- the program: finds the sub-command and runs it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "print.h"
#include "program.h"
#include "sys/sys.h"
#include "tako/tako.h"

static const command commands[] = {
    { "query", "DB STATEMENT", "Runs one statement, prints JSON lines.",
      "  tako query shop.db \"SELECT * FROM orders WHERE status = 'open'\"\n"
      "  tako query shop.db 'UPDATE orders SET status = :s WHERE _id = :id' "
      "\\\n"
      "      --arg 's=\"ready\"' --arg 'id=\"01JA...\"'\n"
      "  tako query shop.db 'INSERT INTO orders DOCUMENTS (:d)' --args "
      "new.json\n",
      cmd_query },
    { "shell", "DB", "Statements by hand, with history and tables.",
      "  tako shell shop.db\n"
      "  echo 'SELECT count(*) AS n FROM orders;' | tako shell shop.db\n",
      cmd_shell },
    { "import", "DB COLLECTION [FILE]",
      "Inserts documents from a JSON array or JSON lines.",
      "  tako import shop.db menu menu.json\n"
      "  zcat orders.jsonl.gz | tako import shop.db orders --on-conflict "
      "skip\n",
      cmd_import },
    { "export", "DB COLLECTION", "Prints a collection as JSON lines.",
      "  tako export shop.db orders > orders.jsonl\n", cmd_export },
    { "attach", "put|get|list DB [COLLECTION ID PATH [FILE]]",
      "Files beside documents: puts them in, gets them out.",
      "  tako attach put shop.db menu taco photo taco.jpg --type image/jpeg\n"
      "  tako attach get shop.db menu taco photo -o taco.jpg\n"
      "  tako attach get shop.db menu taco photo --timeout 120 > taco.jpg\n"
      "  tako attach list shop.db\n",
      cmd_attach },
    { "run", "DB", "Keeps a database open and in sync with others.",
      "  (umask 077; tako secret > mesh.secret)\n"
      "  tako run shop.db --secret-file mesh.secret --name till-1 \\\n"
      "      --listen tcp://0.0.0.0:4711 --subscribe 'SELECT * FROM orders'\n"
      "  tako run shop.db --secret-file mesh.secret --name kitchen \\\n"
      "      --peer tcp://192.168.1.20:4711 --subscribe 'SELECT * FROM "
      "orders'\n",
      cmd_run },
    { "watch", "DB SELECT",
      "A live query: a line for each change of its result.",
      "  tako watch shop.db \"SELECT * FROM orders WHERE status = 'open'\"\n"
      "  tako watch shop.db 'SELECT * FROM orders WHERE table = :t' --diff "
      "\\\n"
      "      --arg t=7\n"
      "  tako watch shop.db 'SELECT count(*) AS n FROM orders' --count 2\n",
      cmd_watch },
    { "conflicts", "DB", "What merging could not keep, until it is settled.",
      "  tako conflicts shop.db\n"
      "  tako conflicts shop.db --json\n"
      "  tako conflicts shop.db --watch\n"
      "  tako conflicts shop.db --dismiss lost/17\n",
      cmd_conflicts },
    { "peer", "add|remove DB ADDRESS",
      "Adds or drops a peer of a running database.",
      "  tako peer add shop.db tcp://192.168.1.20:4711\n"
      "  tako peer remove shop.db tcp://192.168.1.20:4711\n",
      cmd_peer },
    { "wait", "DB --commit N", "Waits until a peer has a commit.",
      "  tako query till.db \"UPDATE orders SET status = 'done'\"\n"
      "      {\"mutated\":[\"o1\"],\"commit\":17}\n"
      "  tako wait till.db --commit 17 --peer kitchen --timeout 30\n",
      cmd_wait },
    { "cancel", "DB NUMBER", "Stops a statement of a running database.",
      "  tako query shop.db 'SELECT _id, statement FROM system:requests "
      "WHERE state = \"running\"'\n"
      "  tako cancel shop.db 17\n",
      cmd_cancel },
    { "secret", "", "Prints a new mesh secret, random.",
      "  (umask 077; tako secret > mesh.secret)\n", cmd_secret },
    { "status", "DB", "Documents, sizes, peers, and what is in sync.",
      "  tako status shop.db\n"
      "  tako status shop.db --json\n",
      cmd_status },
    { "hash", "DB [COLLECTION]",
      "The hash of all documents: equal hash, equal documents.",
      "  tako hash shop.db\n"
      "  tako hash shop.db orders\n",
      cmd_hash },
    { "check", "DB", "Checks that the database is sound.",
      "  tako check shop.db && echo sound\n", cmd_check },
    { "compact", "DB", "Gives free space back to the disk.",
      "  tako compact shop.db\n", cmd_compact },
    { "backup", "DB FILE", "Copies a database, also while it is in use.",
      "  tako backup shop.db shop-monday.backup\n", cmd_backup },
    { "restore", "FILE DB", "Makes a database from a backup.",
      "  tako restore shop-monday.backup shop.db\n", cmd_restore },
    { "probe", "json|cbor|hash|query [DB]",
      "Standard input to standard output, for tests of other programs.",
      "  echo '{\"b\":1.0,\"a\":[]}' | tako probe json\n"
      "  tako probe cbor < value.cbor\n"
      "  tako probe hash < documents.jsonl\n"
      "  echo '{\"statement\":\"SELECT * FROM c\"}' | tako probe query\n",
      cmd_probe },
    { "sim", "SCENARIO", "Devices in a simulated world, with all its faults.",
      "  tako sim sim/scenarios/restaurant.sim --seed 7 --trace\n"
      "  tako sim sim/scenarios/faults.sim --seeds 1..1000 --jobs 4\n"
      "  tako sim sim/scenarios/faults.sim --seed 17 --minimise\n",
      cmd_sim },
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_usage(FILE *f)
{
    fprintf(f,
            "tako %s: an offline-first document database\n\n"
            "usage: tako COMMAND [arguments] [options]\n\n",
            tako_version());
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(f, "  %-9s %s\n", commands[i].name, commands[i].about);
    fprintf(f, "\n`tako help COMMAND` has options and examples.\n");
}

static const command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int unknown(const char *name)
{
    const command *nearest = &commands[0];
    unsigned least = options_distance(name, nearest->name);
    char where[160];

    for (size_t i = 1; i < COMMANDS; i++) {
        unsigned d = options_distance(name, commands[i].name);

        if (d < least) {
            least = d;
            nearest = &commands[i];
        }
    }
    if (least <= 2)
        snprintf(where, sizeof where, "%.60s; did you mean %s?", name,
                 nearest->name);
    else
        snprintf(where, sizeof where, "%.60s", name);
    print_problem("unknown command", where);
    fprintf(stderr, "      see: tako help\n");
    return STATUS_USAGE;
}

static int too_many(const char *what)
{
    print_problem("too many arguments", what);
    fprintf(stderr, "      see: tako help\n");
    return STATUS_USAGE;
}

static int help(const program *p, int argc, char **argv)
{
    static char text[] = "--help";
    char *ask[] = { text };
    const command *c;

    if (argc > 1)
        return too_many(argv[1]);
    if (argc == 0) {
        print_usage(stdout);
        return STATUS_OK;
    }
    c = find(argv[0]);
    return c == NULL ? unknown(argv[0]) : c->run(p, c, 1, ask);
}

/* Standard files that were closed by who started us: their numbers must not
 * become those of a database's files, or what is printed lands there. The
 * replacements are open the wrong way round, so that using one fails. */
static void standard_files(void)
{
    static const int modes[] = { O_WRONLY, O_RDONLY, O_RDONLY };

    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) == -1)
            (void)open("/dev/null", modes[fd]); /* the lowest free: fd */
    }
}

int main(int argc, char **argv)
{
    program p;
    const command *c;

    standard_files();
    sys_env_init(&p.env);
    /* A reader that goes away is an error of writing, not a reason to die. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_usage(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 && argc > 2)
        return too_many(argv[2]);
    if (strcmp(argv[1], "--version") == 0) {
        printf("tako %s\n", tako_version());
        return print_finish(STATUS_OK);
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0)
        return print_finish(help(&p, argc - 2, argv + 2));
    c = find(argv[1]);
    if (c == NULL)
        return unknown(argv[1]);
    return print_finish(c->run(&p, c, argc - 2, argv + 2));
}
