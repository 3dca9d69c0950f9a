/* SPDX-License-Identifier: Apache-2.0 */
#include "report_page.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/report.h"
#include "bench/load/report_private.h"
#include "core/check.h"

/* The same in a string of JSON, where alone a '<' can be; and it ends no script element. */
static const char escaped_less_than[] = "\\u003c";
enum { ESCAPED_SIZE = sizeof(escaped_less_than) - 1 };

/* A copy on the heap. 0 or -ENOMEM. */
static int escape(struct span json, struct span *escaped)
{
    CHECK(json.size > 0);
    size_t count = 0;
    for (size_t i = 0; i < json.size; i++) {
        count += json.data[i] == '<';
    }
    const size_t size = json.size + count * (ESCAPED_SIZE - 1);
    uint8_t *data = malloc(size);
    if (data == NULL) {
        return -ENOMEM;
    }
    uint8_t *target = data;
    for (size_t i = 0; i < json.size; i++) {
        if (json.data[i] == '<') {
            memcpy(target, escaped_less_than, ESCAPED_SIZE);
            target += ESCAPED_SIZE;
        } else {
            *target++ = json.data[i];
        }
    }
    *escaped = (struct span){data, size};
    return 0;
}

int report_write_html(const struct report *report, const char *path)
{
    struct span json;
    struct span escaped;
    int result = report_render_json(report, &json);
    if (result != 0) {
        return result;
    }
    result = escape(json, &escaped);
    if (result != 0) {
        goto free_json;
    }
    const struct bytes pieces[] = {
        {report_page_before, report_page_before_size},
        {escaped.data, escaped.size},
        {report_page_after, report_page_after_size},
    };
    result = report_save(path, pieces, sizeof(pieces) / sizeof(pieces[0]));
    free(escaped.data);
free_json:
    free(json.data);
    return result;
}
