/* SPDX-License-Identifier: GPL-2.0 */
/* Calls that are made to the kernel and to the model, and compared. */
#ifndef _MODEL_CALLS_TEST_H
#define _MODEL_CALLS_TEST_H

#include "model_test.h"

#define SLOTS		8	/* packets that the reader remembers */

/* What is done, in numbers, so that it can be done again. */
enum kind {
	SOCKET, CLOSE, BIND, OPTION, LIMITS, HOLD, FILTER, SHUTDOWN, CHOOSE,
	RULE, LISTENER, IN_PLACE, SEND, RECV, WRITE, VERDICT, RECORDS, KINDS
};

struct op {
	enum kind kind;
	int at;		/* socket */
	int a, b, c, d, e;
};

/* How the address of a written packet is given. */
enum { W_SAME, W_NONE, W_IN, W_OUT, W_NO_NAME, W_INFO, W_WAYS };

/* What is wrong with the packet. */
enum {
	D_NOT, D_SHORT, D_VERSION, D_HEADER, D_LONGER, D_EMPTY, D_FAMILY,
	D_ADDRESS, D_DAMAGES
};

/* What the reader has of a packet. */
struct slot {
	bool used;
	int reader;
	struct mqueued q;	/* what it ought to be */
	bool ticket;		/* the address names a kept packet */
	struct sockaddr_storage address;
	socklen_t address_len;
	struct divert_info info;
	int len;
	__u8 data[2048];
};

/* How port and cookie may lie in the mark. */
#define MASKS	4

extern struct mworld model;
extern struct slot slot[SLOTS];
extern int next_slot;
/* How long to wait for what ought to happen */
extern long patience_ms;
/* The first thing that differs; empty: nothing. */
extern char difference[512];

void world_open(int masks);
void world_close(void);
/* False: what it does to the kernel is not what it does to the model. */
bool step(const struct op *op);
bool totals_same(void);
long now_ms(void);

/* For the calls themselves: */
typedef bool op_t(const struct op *op);
extern op_t op_read, op_write, op_verdict, op_records;
extern int fd[SOCKETS];
/* The interface that is down */
#define DOWN	"d0"
extern int down;

/* The socket that it is about, if it is open */
struct msocket *opened(const struct op *op);
/* Both note the first difference. */
bool __printf(1, 2) differs(const char *format, ...);
bool same(const char *what, long long wanted, long long got);
/* Where the payload begins; is it the model's? */
int payload_at(const struct mpacket *p);
bool payload_same(const char *what, const __u8 *payload,
		  const struct mpacket *p, int len);

#endif /* _MODEL_CALLS_TEST_H */
