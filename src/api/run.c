// SPDX-License-Identifier: Apache-2.0
/* RUN -- a mutation in one call, for programs that want no result. */
#include "api/api.h"

tako_err tako_run(tako_db *db, const char *statement, const char *params_json,
                  uint64_t *commit)
{
    tako_params params = { params_json, NULL, 0 };
    tako_errbuf e = { "" };
    tako_result *res = NULL;
    tako_err err = tako_execute(db, statement, &params, &res);

    if (err != TAKO_OK)
        return err;
    if (tako_result_has_rows(res) && !res->wrote)
        err =
            tako_fail(&e, TAKO_MISUSE, "a SELECT has rows: use tako_execute()");
    else if (commit != NULL)
        *commit = tako_result_commit(res);
    tako_result_free(res);
    return err == TAKO_OK ? TAKO_OK : api_fail(db, err, &e);
}
