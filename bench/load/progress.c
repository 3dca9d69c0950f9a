/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/progress.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/load/report.h"
#include "core/monotime.h"

enum {
    HISTORY_COUNT = 48, /* seconds in the curve */
    SCREEN_LINES = 4,   /* that are drawn anew */
};
#define REDRAW_NS (100 * MONOTIME_NS_PER_MS)

struct progress {
    FILE *out;
    bool is_terminal;
    bool is_drawn;                 /* the screen's lines stand above the cursor */
    uint64_t drawn_ns;             /* the connecting line */
    uint64_t rates[HISTORY_COUNT]; /* deliveries/s, or connects/s; a ring */
    uint32_t count;                /* of them so far */
};

struct progress *progress_create(FILE *out)
{
    struct progress *progress = calloc(1, sizeof(*progress));
    if (progress != NULL) {
        progress->out = out;
        progress->is_terminal = isatty(fileno(out)) == 1;
    }
    return progress;
}

void progress_destroy(struct progress *progress)
{
    free(progress);
}

void progress_connecting(struct progress *progress, uint64_t connected, uint64_t wanted)
{
    const uint64_t now_ns = monotime_read();

    if (!progress->is_terminal || now_ns - progress->drawn_ns < REDRAW_NS) {
        return;
    }
    progress->drawn_ns = now_ns;
    (void)fprintf(progress->out, "\r\x1b[Kconnecting  %llu of %llu", (unsigned long long)connected,
                  (unsigned long long)wanted);
    (void)fflush(progress->out);
}

/* The rates of the last seconds as a curve of blocks. */
static void draw_curve(const struct progress *progress)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    const uint32_t shown = progress->count < HISTORY_COUNT ? progress->count : HISTORY_COUNT;
    uint64_t most = 1;

    for (uint32_t i = 0; i < shown; i++) {
        most = progress->rates[i] > most ? progress->rates[i] : most;
    }
    for (uint32_t i = progress->count - shown; i < progress->count; i++) {
        (void)fputs(blocks[progress->rates[i % HISTORY_COUNT] * 8 / most], progress->out);
    }
}

static void draw_screen(struct progress *progress, const struct report_point *point)
{
    if (progress->is_drawn) {
        (void)fprintf(progress->out, "\x1b[%dA", SCREEN_LINES);
    }
    progress->is_drawn = true;
    (void)fprintf(progress->out, "\r\x1b[K%6.0f s   connections %llu   connects %.0f /s\n",
                  point->at_s, (unsigned long long)point->connected,
                  (double)point->connects / point->seconds);
    (void)fprintf(progress->out, "\x1b[Ksent %12.0f /s   delivered %12.0f /s\n",
                  (double)point->sent / point->seconds, (double)point->received / point->seconds);
    (void)fprintf(progress->out, "\x1b[Klatency  p50 %.3f ms   p99 %.3f ms   max %.3f ms\n",
                  (double)point->p50_ns / 1e6, (double)point->p99_ns / 1e6,
                  (double)point->max_ns / 1e6);
    (void)fputs("\x1b[K", progress->out);
    draw_curve(progress);
    (void)fputc('\n', progress->out);
}

void progress_show(struct progress *progress, const struct report_point *point)
{
    const uint64_t count =
        point->sent > 0 || point->received > 0 ? point->received : point->connects;
    progress->rates[progress->count++ % HISTORY_COUNT] = (uint64_t)((double)count / point->seconds);
    if (progress->is_terminal) {
        draw_screen(progress, point);
    } else {
        (void)fprintf(progress->out,
                      "%.0f s: %llu connections, %.0f connects/s, %.0f sent/s, %.0f delivered/s, "
                      "p50 %.3f ms, p99 %.3f ms, max %.3f ms\n",
                      point->at_s, (unsigned long long)point->connected,
                      (double)point->connects / point->seconds,
                      (double)point->sent / point->seconds,
                      (double)point->received / point->seconds, (double)point->p50_ns / 1e6,
                      (double)point->p99_ns / 1e6, (double)point->max_ns / 1e6);
    }
    (void)fflush(progress->out);
}

void progress_end(struct progress *progress)
{
    if (progress->is_terminal && !progress->is_drawn) {
        (void)fputs("\r\x1b[K", progress->out);
    }
    (void)fflush(progress->out);
}
