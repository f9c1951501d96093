// SPDX-License-Identifier: Apache-2.0
#include "support_query.h"

static void test_row__projects_whole_documents(void **state)
{
    test_db *db = *state;

    (void)must(db, "INSERT INTO c DOCUMENTS ({'_id': 7, 'b': 1, 'name': 'x'})",
               NULL);
    expect(db, "SELECT * FROM c", NULL, "{\"b\":1,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT c.* FROM c", NULL, "{\"b\":1,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT d.*, d.b + 1 AS b2 FROM c AS d", NULL,
           "{\"b\":1,\"b2\":2,\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT *, MISSING name, 2 AS b FROM c", NULL,
           "{\"b\":2,\"_id\":7}");
    expect(db, "SELECT *, MISSING _id FROM c", NULL,
           "{\"b\":1,\"name\":\"x\"}");
    expect(db, "SELECT c FROM c", NULL,
           "{\"c\":{\"b\":1,\"_id\":7,\"name\":\"x\"}}");
    expect(db, "SELECT *, zz AS b FROM c", NULL, "{\"_id\":7,\"name\":\"x\"}");
    expect(db, "SELECT * FROM nowhere", NULL, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DB(test_row__projects_whole_documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
