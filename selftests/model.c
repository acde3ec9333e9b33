// SPDX-License-Identifier: GPL-2.0
/*
 * Random calls, compared with a model of the contract (model_test.c): sockets,
 * ports and who shares them, by hash or by a program, watchers, filters, limits,
 * rules, marks, packets that are sent, read, written back, kept and judged, one
 * by one and in records, of both families.
 *
 * Proves that everybody reads what the model says, with the address,
 * information, error and counters it says, and that nothing else arrives. What
 * differs is shown with the shortest sequence of calls that was found for it.
 *
 * SEED and STEPS in the environment change what is tried, and how long.
 *
 * TIMEOUT=240
 */

#include <sched.h>
#include <stdio.h>

#include "model_calls_test.h"

#define STEPS_DEFAULT	10000
#define STEPS_WORLD	250	/* then all begins anew */
#define SHRINK_MS	40000	/* to look for a shorter sequence */

/* Chance */

static unsigned int seed;

static int below(int n)
{
	return rand_r(&seed) / 7 % n;
}

/* Mostly the first, so that sockets meet there. */
static int some_port(void)
{
	return below(2) ? 0 : below(PORTS);
}

static __u16 some_cookie(void)
{
	static const __u16 cookie[] = { 0, 1, 50, 100, 200, 255 };

	return cookie[below(ARRAY_LEN(cookie))];
}

static __u32 some_mark(void)
{
	const struct masks *m = &model.masks;
	__u32 others = (below(3) ? 0 : below(2) ? 0x41 : ~0u) & ~model_ours(m);

	switch (below(8)) {
	case 0 ... 2:
		return others;
	case 3:
		return m->port | (some_cookie() << __builtin_ctz(m->cookie) &
				  m->cookie) | others;
	default:
		return model_mark(m, PORT + some_port(), some_cookie(),
				  !below(4)) | others;
	}
}

static int some_socket(bool with_queue)
{
	int i, at = below(SOCKETS);

	for (i = 0; with_queue && i < SOCKETS; i++)
		if (model.socket[(at + i) % SOCKETS].queued)
			return (at + i) % SOCKETS;
	return at;
}

static void some_option(struct op *op)
{
	static const int option[] = {
		-1, -1, -2, -3, DIVERT_INFO, DIVERT_INFO, DIVERT_TEE,
		DIVERT_RECORDS, DIVERT_INPLACE, DIVERT_INPLACE, 77,
	};

	op->a = option[below(ARRAY_LEN(option))];
	op->b = op->a == -1 ? !!below(3) : op->a == -2 ? (int)some_mark() :
		op->a == -3 ? below(3) :
		below(op->a == DIVERT_INPLACE ? 4 : 12);
	if (op->a != DIVERT_INPLACE && op->a > 0 && op->b > 2)
		op->b &= 1;
}

/* Of the slots, one that this socket has read. */
static int some_slot(int at)
{
	int i, n = below(SLOTS);

	for (i = 0; i < SLOTS; i++)
		if (slot[(n + i) % SLOTS].used &&
		    slot[(n + i) % SLOTS].reader == at)
			return (n + i) % SLOTS;
	return n;
}

static void some_write(struct op *op)
{
	const struct slot *last = &slot[(next_slot + SLOTS - 1) % SLOTS];

	if (below(4) && last->used && last->reader >= 0)
		op->at = last->reader;
	op->a = some_slot(op->at);
	op->d = below(4) ? -1 : some_cookie();
	op->e = below(2) ? 0 : 1 + below(60000);
	op->c = below(3) ? 0 : below(D_DAMAGES);
	op->b = below(3) ? W_SAME : below(W_WAYS);
	if (model.socket[op->at].records) {
		op->kind = RECORDS;
		op->c = op->b;
		op->b = below(3) ? 0 : below(5);
	}
}

static void some_verdict(struct op *op)
{
	const struct msocket *s = &model.socket[op->at];

	op->a = s->kept_size && below(8) ?
		(int)s->first + below(s->next - s->first + 2) - 1 : below(100);
	op->b = below(8);
	op->c = below(3) ? 0 : some_cookie();
	op->d = below(3) ? 0 : some_mark();
}

/* How often what is tried. */
static const int weight[KINDS] = {
	[SOCKET] = 10, [CLOSE] = 4, [BIND] = 14, [OPTION] = 6, [LIMITS] = 4,
	[HOLD] = 4, [FILTER] = 2, [SHUTDOWN] = 1, [CHOOSE] = 1, [RULE] = 4,
	[LISTENER] = 1, [IN_PLACE] = 1, [SEND] = 40, [RECV] = 40, [WRITE] = 40,
	[VERDICT] = 6,
};

static enum kind some_kind(void)
{
	int i, sum = 0;

	for (i = 0; i < KINDS; i++)
		sum += weight[i];
	sum = below(sum);
	for (i = 0; sum >= weight[i]; i++)
		sum -= weight[i];
	return i;
}

static struct op some_op(void)
{
	struct op op = { .kind = some_kind(), .at = some_socket(false) };

	if (op.kind <= SHUTDOWN && !model.socket[op.at].open)
		op.kind = SOCKET;
	switch (op.kind) {
	case SOCKET:
		op.a = below(2);
		op.b = !!below(4);
		break;
	case BIND:
		op.a = below(12) ? some_port() : -8000 - below(2);
		op.b = below(10) ? 0 : 1 + below(2);
		if (op.a < 0 && !op.b)
			op.a = 65535 - PORT;
		break;
	case OPTION:
		some_option(&op);
		break;
	case LIMITS:
		op.a = below(3) ? 0 : below(6);
		op.b = below(3) ? 0 : below(400);
		op.c = below(2);
		op.d = below(10) ? below(2) : 2;
		op.e = below(2);
		break;
	case HOLD:
		op.a = below(3) ? 1 + below(150) : 0;
		op.b = 1 << below(5);
		op.c = !below(3);
		break;
	case FILTER:
		op.a = below(FILTERS);
		break;
	case SHUTDOWN:
		op.a = below(3);
		break;
	case CHOOSE:
		op.a = some_port();
		op.b = below(2) ? -1 : below(SOCKETS + 1);
		break;
	case RULE:
		op.a = below(HOOKS);
		op.b = below(RULES);
		op.c = below(1 << 12) | !!below(4);
		op.d = some_port();
		op.e = some_cookie();
		break;
	case LISTENER:
	case IN_PLACE:
		op.a = below(3);
		break;
	case SEND:
		op.a = below(4);
		op.b = some_mark();
		op.c = below(2) ? below(20) : below(1400);
		op.d = below(FLOWS);
		break;
	case RECV:
		op.at = some_socket(below(8));
		op.a = below(3) ? 0 : below(16);
		break;
	case VERDICT:
		some_verdict(&op);
		break;
	default:
		some_write(&op);
	}
	return op;
}

/* What was done, in words */

static void print_op(const struct op *op)
{
	static const char * const name[KINDS] = {
		"socket %d: open, IPv6 %d, SO_REUSEPORT %d",
		"socket %d: close",
		"socket %d: bind to port 7000 + %d, wrong %d",
		"socket %d: option %d (-1: SO_REUSEPORT, -2: SO_MARK, -3: device, none, lo, down) = %d",
		"socket %d: limits: packets %d, bytes %d, full %d, old %d, close %d",
		"socket %d: hold: headers %d, packets %d, flags %d",
		"socket %d: filter %d (nothing, IPv4, all; 0: none)",
		"socket %d: shutdown %d",
		"(%d) port 7000 + %d: program chooses member %d (-1: no program)",
		"(%d) hook %d (output, postrouting, prerouting), rule %d: %#x, port 7000 + %d, cookie %d",
		"(%d) no_listener %d (auto, drop, accept)",
		"(%d) in_place %d",
		"(%d) send: kind %d (bit 0: IPv6, bit 1: ICMP), mark %#x, %d bytes more, flow %d",
		"socket %d: read, how %d (1 peek, 2 MSG_TRUNC, 4 short, 8 no address)",
		"socket %d: write slot %d, way %d (same, none, in, out, no name, info), damage %d, cookie %d, value %d",
		"socket %d: verdict on %d, flags %d, cookie %d, mark %#x",
		"socket %d: records from slot %d, wrong %d, way %d, cookie %d, value %d",
	};

	printf("#   ");
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	printf(name[op->kind], op->at, op->a, op->b, op->c, op->d, op->e);
	putchar('\n');
}

/* Runs */

static struct op did[STEPS_WORLD];

/* Does the same again; returns whether something differs. */
static bool again(int which, const struct op *op, const bool *left_out, int n)
{
	int i;

	difference[0] = 0;
	world_open(which);
	for (i = 0; i < n; i++)
		if (!left_out[i] && !step(&op[i]))
			break;
	if (i == n)
		totals_same();
	world_close();
	return difference[0];
}

/* Leaves out what it does not need to differ. */
static void shrink(int which, int n)
{
	static bool left_out[STEPS_WORLD];
	long deadline = now_ms() + SHRINK_MS;
	int size, from, i;

	patience_ms = 300;
	memset(left_out, 0, sizeof(left_out));
	for (size = n / 2; size; size /= 2) {
		for (from = 0; from < n - 1 && now_ms() < deadline; from += size) {
			bool old[STEPS_WORLD];

			memcpy(old, left_out, sizeof(old));
			for (i = from; i < from + size && i < n - 1; i++)
				left_out[i] = true;
			if (!memcmp(old, left_out, sizeof(old)))
				continue;
			if (!again(which, did, left_out, n))
				memcpy(left_out, old, sizeof(old));
		}
	}
	again(which, did, left_out, n);
	printf("# with masks %d:\n", which);
	for (from = 0; from < n; from++)
		if (!left_out[from])
			print_op(&did[from]);
	printf("# %s\n", difference[0] ? difference : "(not again: a race?)");
}

/* Return: steps done, negative if something differed. */
static int run(int which, int steps)
{
	int i;

	difference[0] = 0;
	world_open(which);
	for (i = 0; i < steps; i++) {
		did[i] = some_op();
		if (!step(&did[i]))
			break;
		if (model.overflow)
			break;
	}
	if (!difference[0] && !model.overflow)
		totals_same();
	world_close();
	if (!difference[0])
		return i;

	printf("# %s\n# after %d steps; without those it does not need:\n",
	       difference, i + 1);
	shrink(which, i < steps ? i + 1 : steps);
	return -1;
}

static long from_environment(const char *name, long or)
{
	const char *value = getenv(name);

	return value && *value ? strtol(value, NULL, 0) : or;
}

int main(void)
{
	long steps = from_environment("STEPS", STEPS_DEFAULT), done = 0;
	unsigned int first = from_environment("SEED", 1), world = first;
	long started = now_ms();
	cpu_set_t cpus;
	int n = 0;

	/* One CPU: what was sent has arrived when the call returns. */
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		die("sched_setaffinity");
	setlinebuf(stdout);

	for (; done < steps && n >= 0; world++) {
		seed = world;
		n = run(below(MASKS), STEPS_WORLD);
		done += n < 0 ? 0 : n ?: 1;
	}
	printf("# %ld steps in %ld ms, seeds %u to %u\n", done,
	       now_ms() - started, first, world - 1);
	if (n < 0)
		printf("# this again: SEED=%u STEPS=%d\n", world - 1,
		       STEPS_WORLD);
	printf("%sok 1 D1 D3 R1 W2 C1 T1 O5 O7 O8 O9 V6_1 L3 random calls do what the contract says\n1..1\n",
	       n < 0 ? "not " : "");
	return n < 0;
}
