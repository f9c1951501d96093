// SPDX-License-Identifier: Apache-2.0
#include "sim/support_crash.h"

#include <stdio.h>
#include <stdlib.h>

#include "query/query.h"

#define DEVICE_PATH   "device.db"
#define STATEMENT_MAX 8192u

/* ---- how many ---------------------------------------------------------------- */

static bool asked_for(const char *word)
{
    const char *text = getenv("TAKO_CRASH_POINTS");

    return text != NULL && strcmp(text, word) == 0;
}

uint64_t crash_stride(uint64_t usual)
{
    if (asked_for("all"))
        return 1;
    return asked_for("few") ? usual * 10 + 1 : usual;
}

uint64_t crash_dice(uint64_t usual, uint64_t all)
{
    if (asked_for("all"))
        return all;
    return asked_for("few") ? 1 : usual;
}

/* ---- a device ---------------------------------------------------------------- */

static void device_init(crash_device *d, store_durability durability,
                        uint64_t dice)
{
    memset(d, 0, sizeof *d);
    test_env_init(&d->t, 1);
    d->disk = sim_disk_new(&d->t.env, dice);
    d->durability = durability;
}

static void device_close(crash_device *d)
{
    store_reader_close(d->reader);
    store_close(d->store);
    d->reader = NULL;
    d->store = NULL;
}

static void device_fini(crash_device *d)
{
    device_close(d);
    sim_disk_free(d->disk);
    test_env_check_empty(&d->t);
}

static tako_err open_as(crash_device *d, const char *path, store **out)
{
    store_opts o = { .env = &d->t.env,
                     .files = sim_disk_files(d->disk),
                     .path = path,
                     .vfs = sim_disk_vfs(d->disk),
                     .create = true,
                     .durability = d->durability,
                     .on_connect = query_register,
                     .on_connect_ctx = &d->t.env };

    d->e.text[0] = '\0';
    return store_open(&o, out, &d->e);
}

static tako_err device_open(crash_device *d)
{
    tako_err err = open_as(d, DEVICE_PATH, &d->store);

    if (err == TAKO_OK)
        err = store_reader_open(d->store, &d->reader, &d->e);
    if (err != TAKO_OK)
        device_close(d);
    return err;
}

/* ---- P1 ------------------------------------------------------------------------ */

/* Has this id used the number, or a later one? From now on it has. */
static bool used(crash_used *list, const uint8_t id[16], uint64_t number)
{
    static const uint8_t none[16];
    bool before;

    for (size_t i = 0; i < CRASH_ACTORS_MAX; i++) {
        if (memcmp(list[i].id, none, 16) == 0)
            memcpy(list[i].id, id, 16);
        if (memcmp(list[i].id, id, 16) != 0)
            continue;
        before = number <= list[i].last;
        list[i].last = number;
        return before;
    }
    fail_msg("more than %u actors", CRASH_ACTORS_MAX);
    return true;
}

/* ---- steps: transactions ---------------------------------------------------------- */

static tako_err read_all(crash_device *d, query *q)
{
    tako_buf row = tako_buf_on(&d->t.env);
    tako_err err;

    while ((err = query_step(q, &row, &d->e)) == TAKO_OK)
        tako_buf_reset(&row);
    tako_buf_fini(&row);
    return err == TAKO_NOTFOUND ? TAKO_OK : err;
}

static tako_err run_statement(crash_device *d, tako_slice text)
{
    tako_buf ids = tako_buf_on(&d->t.env);
    bool reads = !store_in_transaction(d->store);
    uint64_t count = 0;
    query *q = NULL;
    tako_err err = query_prepare(
        &d->t.env, reads ? d->reader : store_writer(d->store), text, &q, &d->e);

    if (err == TAKO_OK)
        err = query_bind(q, TAKO_SLICE_NONE, &d->e);
    if (err == TAKO_OK)
        err = reads ? read_all(d, q)
                    : query_run(q, d->store, &ids, &count, &d->e);
    query_free(q);
    tako_buf_fini(&ids);
    return err;
}

static tako_err each_line(crash_device *d, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");

        TAKO_TRY(run_statement(d, tako_slice_of(text, len)));
        text += len;
        text += *text == '\n';
    }
    return TAKO_OK;
}

static tako_err commit(crash_device *d)
{
    uint64_t lsn = 0;

    TAKO_TRY(store_commit(d->store, &lsn, &d->e));
    if (lsn != 0 && used(d->lsns, store_incarnation(d->store), lsn))
        fail_msg("commit number %llu was used before", (unsigned long long)lsn);
    return TAKO_OK;
}

static tako_err transact(crash_device *d, const char *text)
{
    crdt_dot dot;
    tako_err err;

    TAKO_TRY(store_begin(d->store, &d->e));
    err = store_dot(d->store, &dot, &d->e);
    if (err == TAKO_OK && used(d->hlcs, dot.actor.id, dot.hlc))
        fail_msg("P1: hlc %llu was used before", (unsigned long long)dot.hlc);
    if (err == TAKO_OK)
        err = each_line(d, text);
    if (err == TAKO_OK)
        return commit(d);
    store_rollback(d->store);
    return err;
}

/* ---- steps: the file ----------------------------------------------------------------- */

static tako_err reopen(crash_device *d)
{
    device_close(d);
    if (sim_disk_stopped(d->disk))
        return TAKO_IO;
    d->dirty = false; /* who closes in order has synced */
    return device_open(d);
}

static tako_err back_up(crash_device *d, const char *name)
{
    const tako_files *f = sim_disk_files(d->disk);
    tako_err err = f->remove(f->ctx, name); /* what an end left half done */

    if (err != TAKO_OK && err != TAKO_NOTFOUND)
        return err;
    return store_backup(store_writer(d->store), name, NULL, NULL, &d->e);
}

/* The copy as a database of its own, which another actor writes to. */
static tako_err use_copy(crash_device *d, const char *name)
{
    store *copy = NULL, *own = d->store;
    store_conn *reader = d->reader;
    tako_err err = open_as(d, name, &copy);

    if (err != TAKO_OK)
        return err;
    if (crdt_actor_cmp(store_actor(copy), store_actor(own)) == 0)
        fail_msg("the copy %s goes under the original's name", name);
    d->store = copy;
    d->reader = store_writer(copy);
    err = transact(d, "INSERT INTO restored DOCUMENTS ({'_id': 'again'}) ON ID "
                      "CONFLICT DO UPDATE");
    d->store = own;
    d->reader = reader;
    store_close(copy);
    return err;
}

static tako_err mark(crash_device *d)
{
    TAKO_TRY(store_mark_dirty(d->store));
    d->dirty = true;
    d->marked = store_actor(d->store);
    return TAKO_OK;
}

static tako_err sync_now(crash_device *d)
{
    tako_err err = store_sync(d->store);

    if (err == TAKO_OK)
        d->dirty = false;
    return err;
}

static tako_err later(crash_device *d, const char *text)
{
    uint64_t ms = strtoull(text, NULL, 10);

    d->t.wall_ms += ms;
    d->t.mono_ms += ms;
    return TAKO_OK;
}

static const char *after(const char *text, const char *word)
{
    size_t len = strlen(word);

    return strncmp(text, word, len) == 0 ? text + len : NULL;
}

static tako_err step(crash_device *d, const char *text)
{
    const char *rest;

    if (d->store == NULL)
        TAKO_TRY(device_open(d));
    if (after(text, "@reopen") != NULL)
        return reopen(d);
    if (after(text, "@checkpoint") != NULL)
        return store_checkpoint(d->store, STORE_FOLD_ALL, &d->e);
    if (after(text, "@dirty") != NULL)
        return mark(d);
    if (after(text, "@sync") != NULL)
        return sync_now(d);
    if (after(text, "@renew") != NULL)
        return store_renew_actor(d->store, &d->e);
    if (after(text, "@compact") != NULL)
        return store_compact(d->store, &d->e);
    if ((rest = after(text, "@later ")) != NULL)
        return later(d, rest);
    if ((rest = after(text, "@backup ")) != NULL)
        return back_up(d, rest);
    if ((rest = after(text, "@copy ")) != NULL)
        return use_copy(d, rest);
    assert_true(text[0] != '@');
    if (after(text, "SELECT") != NULL || after(text, "EXPLAIN") != NULL)
        return each_line(d, text);
    return transact(d, text);
}

/* Whatever was acknowledged before it is safe from a power failure. */
static bool step_syncs(const char *text)
{
    return after(text, "@checkpoint") != NULL || after(text, "@sync") != NULL ||
           after(text, "@reopen") != NULL || after(text, "@compact") != NULL;
}

/* ---- the plan -------------------------------------------------------------------------- */

void crash_plan_init(crash_plan *p, const crash_script *script)
{
    crash_device d;

    memset(p, 0, sizeof *p);
    p->script = *script;
    device_init(&d, script->durability, 1);
    assert_int_equal(device_open(&d), TAKO_OK);
    p->pages[0] = crash_page(d.reader);
    for (; script->steps[p->count] != NULL; p->count++) {
        assert_true(p->count < CRASH_STEPS_MAX);
        if (step(&d, script->steps[p->count]) != TAKO_OK)
            fail_msg("%s, step %zu, %s: %s", script->name, p->count,
                     script->steps[p->count], d.e.text);
        p->pages[p->count + 1] = crash_page(d.reader);
    }
    device_close(&d);
    p->changes = sim_disk_changes(d.disk);
    for (unsigned op = 0; op < SIM_DISK_OPS; op++)
        p->calls[op] = sim_disk_calls(d.disk, (sim_disk_op)op);
    device_fini(&d);
}

void crash_plan_fini(crash_plan *p)
{
    for (size_t i = 0; i <= p->count; i++)
        free(p->pages[i]);
}

/* ---- an end, and what is there after it -------------------------------------------------- */

typedef struct course {
    const crash_plan *plan;
    crash_device d;
    size_t acked;  /* steps */
    size_t synced; /* steps that no power failure takes */
    char what[400];
} course;

static void course_init(course *c, const crash_plan *p, uint64_t dice)
{
    memset(c, 0, sizeof *c);
    c->plan = p;
    device_init(&c->d, p->script.durability, dice);
}

static const char *step_text(const course *c, size_t i)
{
    return i < c->plan->count ? c->plan->script.steps[i] : "the end";
}

/* Until the disk stops, or all is done and closed. */
static void go_on(course *c)
{
    crash_device *d = &c->d;

    if (d->store == NULL && device_open(d) != TAKO_OK) {
        if (!sim_disk_stopped(d->disk))
            fail_msg("%s: it does not open: %s", c->what, d->e.text);
        return;
    }
    while (c->acked < c->plan->count) {
        const char *text = c->plan->script.steps[c->acked];
        tako_err err = step(d, text);

        if (sim_disk_stopped(d->disk))
            return;
        if (err != TAKO_OK)
            fail_msg("%s: step %zu, %s: %s", c->what, c->acked, text,
                     d->e.text);
        c->acked++;
        if (d->durability == STORE_FULL || step_syncs(text))
            c->synced = c->acked;
    }
    device_close(d);
}

static void end_and_start(course *c)
{
    device_close(&c->d);
    sim_disk_start(c->d.disk);
}

/* A copy that was acknowledged is there, and whole, also if it was written
 * to since. */
static void copies_are_whole(course *c)
{
    crash_device *d = &c->d;

    for (size_t i = 0; i < c->acked; i++) {
        const char *name = after(c->plan->script.steps[i], "@backup ");
        const char *used_copy;
        store *copy = NULL;
        char *text;

        if (name == NULL)
            continue;
        if (open_as(d, name, &copy) != TAKO_OK)
            fail_msg("%s: the copy %s: %s", c->what, name, d->e.text);
        crash_sound(store_writer(copy), c->what);
        text = crash_page(store_writer(copy));
        used_copy = strstr(text, "restored \"again\" {}\n");
        if (used_copy != NULL)
            memmove(text + (used_copy - text), used_copy + 20,
                    strlen(used_copy + 20) + 1);
        if (strcmp(text, c->plan->pages[i + 1]) != 0)
            fail_msg("%s: the copy %s holds\n%s", c->what, name, text);
        free(text);
        store_close(copy);
    }
}

/* Which page is it? The script goes on from there. */
static void find_page(course *c, size_t from, size_t to)
{
    char *text = crash_page(c->d.reader);

    for (size_t i = from; i <= to && i <= c->plan->count; i++)
        if (strcmp(text, c->plan->pages[i]) == 0) {
            free(text);
            c->acked = i;
            return;
        }
    print_message("there is:\n%s\nafter step %zu there was:\n%s\n", text, from,
                  c->plan->pages[from]);
    fail_msg("%s: acknowledged were %zu steps, to be there at least %zu; it "
             "died in: %s",
             c->what, c->acked, from, step_text(c, c->acked));
}

static void check_actor(course *c, sim_disk_end how)
{
    crash_device *d = &c->d;
    bool same;

    /* Who died while it was cleared had synced before. */
    if (!d->dirty || step_syncs(step_text(c, c->acked)))
        return;
    same = crdt_actor_cmp(store_actor(d->store), d->marked) == 0;
    if (how == SIM_DISK_POWER && same && d->durability == STORE_NORMAL)
        fail_msg("%s: the dirty mark was set: the actor must be another",
                 c->what);
    d->dirty = false;
}

static void recover(course *c, const crash_end *end)
{
    crash_device *d = &c->d;
    size_t from = end->how == SIM_DISK_POWER ? c->synced : c->acked;

    if (end->again > 0) {
        sim_disk_stop_at(d->disk, end->how, end->again);
        (void)device_open(d);
        end_and_start(c);
        sim_disk_stop_at(d->disk, end->how, 0);
    }
    if (device_open(d) != TAKO_OK)
        fail_msg("%s: it does not open again: %s", c->what, d->e.text);
    crash_sound(d->reader, c->what);
    check_actor(c, end->how);
    copies_are_whole(c);
    find_page(c, from, c->acked + 1);
}

static void check_last(course *c, size_t from)
{
    crash_device *d = &c->d;

    if (device_open(d) != TAKO_OK)
        fail_msg("%s: it does not open in the end: %s", c->what, d->e.text);
    crash_sound(d->reader, c->what);
    find_page(c, from, c->plan->count);
    if (transact(d, "INSERT INTO after DOCUMENTS ({'_id': 1})") != TAKO_OK)
        fail_msg("%s: a statement in the end: %s", c->what, d->e.text);
}

void crash_run(const crash_plan *p, const crash_end *end)
{
    course c;

    course_init(&c, p, end->dice);
    (void)snprintf(
        c.what, sizeof c.what,
        "%s: %s in change %llu of %llu (dice %llu, again %llu)", p->script.name,
        end->how == SIM_DISK_KILL ? "killed" : "power failed",
        (unsigned long long)end->at, (unsigned long long)p->changes,
        (unsigned long long)end->dice, (unsigned long long)end->again);
    sim_disk_stop_at(c.d.disk, end->how, end->at);
    go_on(&c);
    if (!sim_disk_stopped(c.d.disk))
        fail_msg("%s: there is no such change", c.what);
    end_and_start(&c);
    recover(&c, end);
    go_on(&c);
    check_last(&c, p->count);
    device_fini(&c.d);
}

/* ---- calls that fail ----------------------------------------------------------------------- */

/* A step that fails has changed nothing, and can be tried again. */
static void fail_step(course *c, const crash_fault *f, bool *failed)
{
    const char *text = step_text(c, c->acked);
    tako_err err = step(&c->d, text);

    if (err == TAKO_OK) {
        c->acked++;
        if (c->d.durability == STORE_FULL || step_syncs(text))
            c->synced = c->acked;
        return;
    }
    *failed = true;
    sim_disk_fail_at(c->d.disk, f->op, 0, TAKO_OK);
    if (c->d.store != NULL)
        find_page(c, c->acked, c->acked);
}

bool crash_fail(const crash_plan *p, const crash_fault *f)
{
    static const char *const names[] = { "read", "write", "truncate",
                                         "sync", "open",  "delete" };
    bool failed = false;
    course c;

    course_init(&c, p, f->n);
    (void)snprintf(c.what, sizeof c.what, "%s: %s %llu fails with %s%s%s",
                   p->script.name, names[f->op], (unsigned long long)f->n,
                   tako_err_name(f->err), f->once ? "" : ", and on",
                   f->lost ? ", and loses" : "");
    if (f->once)
        sim_disk_fail_at(c.d.disk, f->op, f->n, f->err);
    else
        sim_disk_fail_from(c.d.disk, f->op, f->n, f->err);
    sim_disk_faults_of(c.d.disk)->sync_loses = f->lost;
    while (c.acked < p->count)
        fail_step(&c, f, &failed);
    sim_disk_fail_at(c.d.disk, f->op, 0, TAKO_OK);
    sim_disk_stop(c.d.disk, SIM_DISK_POWER);
    end_and_start(&c);
    check_last(&c, c.synced);
    device_fini(&c.d);
    return failed;
}
