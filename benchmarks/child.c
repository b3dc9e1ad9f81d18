/* The jobs that the benchmarks run: small and fast, so that what is measured is not the job.
 * child.py does the same where there is no C compiler; keep the two alike.
 *
 *   lines N    "<BEGIN>", N lines of 75 characters, "<END>", in blocks of 64 KiB
 *   stamp MS   waits, writes the time (CLOCK_MONOTONIC, ns) and ends at once
 *   signals N  "ready", then the time inside the handler of each SIGUSR1; ends after N
 *   ticks MS   the time every millisecond, for so long
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t arrived;
static volatile long long arrived_at;

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void put(const char *text, size_t size) {
    while (size > 0) {
        ssize_t done = write(1, text, size);
        if (done < 0) _exit(9);
        text += done;
        size -= (size_t)done;
    }
}

static void put_time(long long when) {
    char text[32];
    put(text, (size_t)snprintf(text, sizeof text, "%lld\n", when));
}

static void wait_ms(long ms) {
    struct timespec span = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&span, NULL);
}

static void lines(long left) {
    enum { LINE = 76, AT_ONCE = 65536 / LINE };
    static char block[LINE * AT_ONCE];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < AT_ONCE; i++) block[i * LINE + LINE - 1] = '\n';
    put("<BEGIN>\n", 8);
    for (; left > 0; left -= AT_ONCE) put(block, LINE * (size_t)(left < AT_ONCE ? left : AT_ONCE));
    put("<END>\n", 6);
}

static void note(int number) {
    (void)number;
    arrived_at = now();
    arrived++;
}

static void signals(long wanted) {
    struct sigaction action = {.sa_handler = note};
    sigset_t blocked, open;
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGUSR1, &action, NULL);
    put("ready\n", 6);
    while (arrived < wanted) {
        sigsuspend(&open);
        put_time(arrived_at);
    }
}

static void ticks(long ms) {
    long long end = now() + ms * 1000000LL;
    for (long long t = now(); t < end; t = now()) {
        put_time(t);
        wait_ms(1);
    }
}

int main(int argc, char **argv) {
    long number = argc == 3 ? atol(argv[2]) : 0;
    if (argc == 3 && !strcmp(argv[1], "lines")) lines(number);
    else if (argc == 3 && !strcmp(argv[1], "signals")) signals(number);
    else if (argc == 3 && !strcmp(argv[1], "ticks")) ticks(number);
    else if (argc == 3 && !strcmp(argv[1], "stamp")) {
        if (number) wait_ms(number);
        put_time(now());
    } else return 64;
    _exit(0);
}
