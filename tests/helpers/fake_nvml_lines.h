/* What the GPUs of the fake driver do now: the lines after the first of the file that FAKE_NVML_FILE names.
 *
 * One figure a line, read at every call: `GPU KEY VALUE`. Keys: polled (percent),
 * power (mW), energy (mJ), used (bytes of memory), pids (`PID:BYTES PID:-`), samples (`MICROSECONDS:PERCENT`,
 * oldest first), uses (`MICROSECONDS:PID:SM:MEM:ENC:DEC`). `GPU KEY-error CODE` makes that question fail,
 * `GPU KEY-hang 1` makes it hang. helpers/gpu_play.py writes such files.
 */
#ifndef FAKE_NVML_LINES
#define FAKE_NVML_LINES

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOT_AVAILABLE ULLONG_MAX

enum { MOST_ROWS = 512 };

/* What the file says of one figure of a GPU, in memory that the caller frees; NULL if it says nothing. */
static char *said(void *handle, const char *key) {
    const char *path = getenv("FAKE_NVML_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char start[64], *line = NULL, *found = NULL;
    size_t room = 0, length;
    if (!file) return NULL;
    length = snprintf(start, sizeof start, "%zu %s ", (size_t)handle % 100 - 1, key);
    while (!found && getline(&line, &room, file) >= 0)
        if (!strncmp(line, start, length)) found = strdup(line + length);
    free(line);
    fclose(file);
    return found;
}

static unsigned long long figure(void *handle, const char *key, unsigned long long otherwise) {
    char *text = said(handle, key);
    unsigned long long value = text ? strtoull(text, NULL, 10) : otherwise;
    free(text);
    return value;
}

/* The error that the file orders for a question; hangs if the file orders that. */
static int trouble(void *handle, const char *key) {
    char name[64];
    snprintf(name, sizeof name, "%s-hang", key);
    while (figure(handle, name, 0)) pause();
    snprintf(name, sizeof name, "%s-error", key);
    return figure(handle, name, 0);
}

/* Rows of numbers such as `1000:41 1166:0`, `width` numbers each; how many are newer than `since`.
 * Those of time 0 always are: real drivers leave such rows in a reply. */
static unsigned int rows(void *handle, const char *key, unsigned int width, unsigned long long since,
                         unsigned long long (*found)[6]) {
    char *text = said(handle, key), *next = text, *end;
    unsigned int count = 0;
    while (next && count < MOST_ROWS) {
        for (unsigned int i = 0; i < width; i++, next = *end == ':' ? end + 1 : end) {
            found[count][i] = strtoull(next, &end, 10);
            if (end == next) goto done;
        }
        if (found[count][0] > since || !found[count][0]) count++;
    }
done:
    free(text);
    return count;
}

/* `PID:BYTES` each, `-` for bytes that nobody tells; how many, or -1 if the file says nothing. */
static int pids(void *handle, unsigned long long (*found)[2]) {
    char *text = said(handle, "pids"), *next = text, *end;
    int count = text ? 0 : -1;
    while (next && count < MOST_ROWS) {
        found[count][0] = strtoull(next, &end, 10);
        if (end == next || *end != ':') break;
        next = end + 1;
        found[count++][1] = *next == '-' ? (end = next + 1, NOT_AVAILABLE) : strtoull(next, &end, 10);
        next = end;
    }
    free(text);
    return count;
}

#endif
