/* The decoder of account events: no input crashes it; a refusal has a proper reason; the data it
 * hands to the database is accepted again as it is. */
#include "consumers/accounts.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json doc = JSON_NULL_DOC, doc_again = JSON_NULL_DOC;
    struct arena arena = ARENA_NULL;
    struct message m = input_message(data, size, &arena);
    struct account_op op, again;
    struct refusal refusal = { 0 };
    enum reason r = accounts_decode(&m, INPUT_WINDOW_US, &doc, &arena, &op, &refusal);

    if (r) {
        input_refusal_check(r, &refusal);
    } else {
        CLAIM(op.data.n < m.value.n + 256);
        CLAIM(account_op_of_data(op.type, op.source, op.id, op.account, op.time_us, op.data,
                                 &doc_again, &arena, &again, &refusal) == REASON_NONE);
        CLAIM(slice_equal(op.data, again.data));
        CLAIM(slice_equal(op.reference_account, again.reference_account));
        CLAIM(memcmp(&op.key, &again.key, sizeof(op.key)) == 0);
    }
    json_fini(&doc);
    json_fini(&doc_again);
    arena_fini(&arena);
    return 0;
}
