// SPDX-License-Identifier: GPL-2.0
/* The contract as a state machine; see model_test.h. */

#include "model_test.h"

__u32 model_ours(const struct masks *masks)
{
	return masks->port | masks->cookie | masks->tee;
}

static int shift_of(__u32 mask)
{
	return __builtin_ctz(mask);
}

static __u32 field_max(__u32 mask)
{
	return mask >> shift_of(mask);
}

static __u32 field(__u32 mark, __u32 mask)
{
	return (mark & mask) >> shift_of(mask);
}

__u32 model_mark(const struct masks *masks, int port, __u16 cookie, bool tee)
{
	return ((port - masks->base) << shift_of(masks->port) & masks->port) |
	       (cookie << shift_of(masks->cookie) & masks->cookie) |
	       (tee ? masks->tee : 0);
}

int model_receiver(const struct mpacket *packet)
{
	return packet->icmp * 2 + packet->v6;
}

void model_count(struct mworld *w, int i, enum mstat stat, __u64 n)
{
	w->total[stat] += n;
	if (i >= 0)
		w->socket[i].stat[stat] += n;
}

void model_count_errno(struct mworld *w, int i, int err)
{
	static const struct {
		int err;
		enum mstat stat;
	} stats[] = {
		{ EINVAL, S_EINVAL }, { EAFNOSUPPORT, S_EAFNOSUPPORT },
		{ EADDRNOTAVAIL, S_EADDRNOTAVAIL }, { EMSGSIZE, S_EMSGSIZE },
		{ ENETUNREACH, S_EUNREACH }, { EHOSTUNREACH, S_EUNREACH },
		{ EACCES, S_EACCES }, { ESTALE, S_ESTALE }, { ENOENT, S_ESTALE },
	};
	int n;

	for (n = 0; n < ARRAY_LEN(stats); n++) {
		if (-err != stats[n].err)
			continue;
		model_count(w, i, stats[n].stat, 1);
		return;
	}
	model_count(w, i, S_EOTHER, 1);
}

/* Rules, as nft has them */

static bool rule_matches(const struct mworld *w, const struct mrule *rule,
			 const struct mpacket *p)
{
	if (!rule->used)
		return false;
	if (rule->family && rule->family != (p->v6 ? 6 : 4))
		return false;
	if (rule->protocol &&
	    rule->protocol != (p->icmp ? IPPROTO_ICMP : IPPROTO_UDP))
		return false;
	return !rule->guarded ||
	       (p->mark & w->masks.cookie) <
	       ((__u32)rule->cookie << shift_of(w->masks.cookie));
}

static enum verdict rules(struct mworld *w, struct mpacket *p)
{
	const struct mrule *rule = w->rule[p->hook];
	int i;

	for (i = 0; i < RULES; i++, rule++) {
		if (!rule_matches(w, rule, p))
			continue;
		if (rule->drop)
			return DROPPED;
		p->mark = (p->mark & ~model_ours(&w->masks)) |
			  model_mark(&w->masks, rule->port, rule->cookie,
				     rule->tee);
		return GO;
	}
	return GO;
}

/* Marks */

static void mark_show(const struct mworld *w, struct mpacket *p)
{
	const struct masks *m = &w->masks;
	__u32 cookie = p->cookie;

	if (cookie > field_max(m->cookie))
		cookie = field_max(m->cookie);
	p->mark = (p->mark & ~model_ours(m)) | m->port |
		  cookie << shift_of(m->cookie);
}

/* Each hook but the first of output ends a stage. */
static bool stage_ends(const struct mpacket *p)
{
	return p->hook != OUT;
}

static enum verdict pass(const struct mworld *w, struct mpacket *p, bool ours)
{
	if (p->shown && !stage_ends(p))
		mark_show(w, p);
	else if (p->shown || ours)
		p->mark &= ~model_ours(&w->masks);
	return GO;
}

/* Left alone for the rest of its stage. */
static void leave(const struct mworld *w, struct mpacket *p)
{
	p->shown = true;
	p->cookie = DIVERT_COOKIE_LAST;
	pass(w, p, true);
}

static void rewind_to(const struct mworld *w, struct mpacket *p, __u16 cookie)
{
	p->shown = true;
	p->cookie = cookie;
	mark_show(w, p);
}

struct target {
	int port;
	__u16 cookie;
	bool tee;
};

static bool target_of(const struct mworld *w, __u32 mark, struct target *to)
{
	const struct masks *m = &w->masks;
	__u32 f = field(mark, m->port);

	to->port = f + m->base;
	to->cookie = field(mark, m->cookie) ?: DIVERT_COOKIE_LAST;
	to->tee = mark & m->tee;
	return f && f != field_max(m->port) &&
	       to->port >= (int)m->range[0] && to->port <= (int)m->range[1];
}

bool model_port_reachable(const struct mworld *w, int port)
{
	const struct masks *m = &w->masks;
	struct target to;

	return port > (int)m->base &&
	       port - m->base <= field_max(m->port) &&
	       target_of(w, (port - m->base) << shift_of(m->port), &to);
}

/* Queues */

static bool room(const struct msocket *s, const struct mpacket *p)
{
	return (!s->limits.packets || s->queued < (int)s->limits.packets) &&
	       (!s->limits.bytes || s->bytes + p->len <= s->limits.bytes);
}

static bool wanted(const struct msocket *s, const struct mpacket *p)
{
	switch (s->filter) {
	case FILTER_NOTHING:
		return false;
	case FILTER_IPV4:
		return !p->v6;
	default:
		return true;
	}
}

static enum verdict travel(struct mworld *w, struct mpacket *p);
static enum verdict at_hook(struct mworld *w, struct mpacket *p);

static void behind(struct mworld *w, const struct mqueued *q)
{
	struct mpacket p = q->packet;

	leave(w, &p);
	travel(w, &p);
}

/* The end of a packet that had no answer. */
static void dispose(struct mworld *w, int i, const struct mqueued *q,
		    enum mstat why)
{
	__u8 policy = why == UNREAD ? q->close : q->old;

	if (q->copy || q->keep == KEEP_COPY)
		policy = DIVERT_POLICY_DROP;
	if (policy == DIVERT_POLICY_PASS && q->held) {
		model_count(w, i, q->id ? HELD_RELEASED : RELEASED, 1);
		behind(w, q);
	} else {
		model_count(w, i, q->id ? HELD_LOST : why, 1);
	}
}

static void append(struct mworld *w, int i, const struct mqueued *q)
{
	struct msocket *s = &w->socket[i];

	model_count(w, i, DIVERTED, 1);
	model_count(w, i, BYTES, q->packet.len);
	model_count(w, i, TEED, q->copy);
	if (s->closing) {
		dispose(w, i, q, UNREAD);
		return;
	}
	if (s->queued == QUEUE) {
		w->overflow = true;
		return;
	}
	s->queue[s->queued++] = *q;
	s->bytes += q->packet.len;
}

/* False if the socket has no room and wants the packet left in the stack. */
static bool deliver(struct mworld *w, int i, const struct mpacket *p,
		    const struct target *to, bool copy)
{
	struct msocket *s = &w->socket[i];
	__u32 ours = model_ours(&w->masks);
	struct mqueued q = {
		.packet = *p, .port = to->port, .cookie = to->cookie,
		.context = (p->mark & ~ours) | (p->sender_mark & ours),
		.bound = p->hook == PRE ? 0 : p->sender_bound,
		.copy = copy, .info = s->info,
		.keep = s->hold.headers ? KEEP_HEADERS : KEEP_NOT,
	};

	if (!copy) {
		q.old = s->limits.old;
		q.close = s->limits.close;
		if (!q.keep && s->in_place)
			q.keep = KEEP_COPY;
		q.held = q.keep || s->limits.full || q.old || q.close;
		if (!room(s, p) && s->limits.full == DIVERT_POLICY_PASS)
			return false;
	}
	if (!room(s, p))
		model_count(w, i, FULL, 1);
	else
		append(w, i, &q);
	return true;
}

/* Hooks */

static bool absent_drops(const struct mworld *w)
{
	return w->no_listener != ACCEPT;
}

/* Copies for watchers, and who else is there. */
static void watch(struct mworld *w, const struct mport *port,
		  const struct mpacket *p, const struct target *to)
{
	int i, watcher;

	for (i = 0; i < port->watchers; i++) {
		watcher = port->watcher[i];
		if (model_listens(&w->socket[watcher]) &&
		    wanted(&w->socket[watcher], p))
			deliver(w, watcher, p, to, true);
	}
}

static enum verdict divert(struct mworld *w, struct mpacket *p)
{
	struct mport *port;
	struct target to;
	bool watched;
	int owner;

again:
	if (!target_of(w, p->mark, &to))
		return pass(w, p, false);
	if (p->shown && to.cookie <= p->cookie) {
		model_count(w, -1, RESUMED, 1);
		return pass(w, p, true);
	}

	port = model_port(w, to.port);
	watched = port && port->watchers;
	if (watched)
		watch(w, port, p, &to);

	owner = port ? model_owner(w, port, p) : -1;
	if (owner < 0 && !to.tee && !(watched && !port->owners)) {
		if (absent_drops(w)) {
			model_count(w, -1, NOPORT, 1);
			return GONE;
		}
		model_count(w, -1, PASSED, 1);
		if (!watched)
			return pass(w, p, true);
	}
	if (owner >= 0 && !wanted(&w->socket[owner], p)) {
		model_count(w, owner, PASSED, 1);
		if (!watched)
			return pass(w, p, true);
		owner = -1;
	}
	if (owner >= 0 && !to.tee) {
		if (deliver(w, owner, p, &to, false))
			return GONE;
		model_count(w, owner, PASSED, 1);
		leave(w, p);
		return GO;
	}
	if (owner >= 0)
		deliver(w, owner, p, &to, true);

	/* It goes on at the next rule of its stage. */
	rewind_to(w, p, to.cookie);
	if (rules(w, p) == DROPPED)
		return DROPPED;
	goto again;
}

static enum verdict at_hook(struct mworld *w, struct mpacket *p)
{
	enum verdict verdict = rules(w, p);

	if (verdict == GO)
		verdict = divert(w, p);
	return verdict == GO ? travel(w, p) : verdict;
}

static void receive(struct mworld *w, const struct mpacket *p)
{
	int r = model_receiver(p);

	if (w->expecting[r] == EXPECTED)
		w->overflow = true;
	else
		w->expected[r][w->expecting[r]++] = *p;
}

/* Behind the hook: out to lo, and in again. */
static enum verdict travel(struct mworld *w, struct mpacket *p)
{
	switch (p->hook) {
	case OUT:
		p->hook = POST;
		return at_hook(w, p);
	case POST:
		p->hook = PRE;
		p->shown = false;
		p->cookie = 0;
		if (w->backlogged == EXPECTED)
			w->overflow = true;
		else
			w->backlog[w->backlogged++] = *p;
		return GO;
	default:
		receive(w, p);
		return GO;
	}
}

/* What came in by lo meanwhile. */
static void softirq(struct mworld *w)
{
	int i;

	for (i = 0; i < w->backlogged; i++) {
		struct mpacket p = w->backlog[i];

		at_hook(w, &p);
	}
	w->backlogged = 0;
}

int model_send(struct mworld *w, const struct mpacket *packet)
{
	struct mpacket p = *packet;
	enum verdict verdict = at_hook(w, &p);

	softirq(w);
	return verdict == DROPPED ? -EPERM : 0;
}

/* Sockets */

void model_socket(struct mworld *w, int i, bool v6)
{
	struct msocket *s = &w->socket[i];

	memset(s, 0, sizeof(*s));
	s->open = true;
	s->v6 = v6;
	s->in_place = w->in_place;
}

/* A place for @n kept packets, once. */
static void kept_alloc(struct msocket *s)
{
	int n = s->hold.packets ?: 4096;

	if (s->kept_size)
		return;
	s->kept_size = 1;
	while (s->kept_size < n)
		s->kept_size *= 2;
	s->first = 1;
	s->next = 1;
}

int model_set_hold(struct mworld *w, int i, const struct divert_hold *hold)
{
	struct msocket *s = &w->socket[i];

	if (s->kept_size && hold->packets != s->hold.packets)
		return -EINVAL;
	s->hold = *hold;
	if (hold->headers)
		kept_alloc(s);
	return 0;
}

void model_set_in_place(struct mworld *w, int i, int value)
{
	w->socket[i].in_place = value;
	if (value)
		kept_alloc(&w->socket[i]);
}

/* Packets that are still to go on have their writer's options as they are then;
 * those of one that is closed do not change any more.
 */
static void writer_changes(struct mworld *w, int i, struct mpacket *p)
{
	const struct msocket *s = &w->socket[i];

	if (p->writer != i)
		return;
	p->sender_mark = s->mark;
	p->sender_bound = s->bound;
	if (!s->open)
		p->writer = -1;
}

static void written_change(struct mworld *w, int i)
{
	struct msocket *s;
	int n;

	for (s = w->socket; s < w->socket + SOCKETS; s++) {
		for (n = 0; n < s->queued; n++)
			writer_changes(w, i, &s->queue[n].packet);
		for (n = 0; n < KEPT; n++)
			writer_changes(w, i, &s->kept[n].packet);
	}
}

void model_set_sender(struct mworld *w, int i, __u32 mark, int bound)
{
	w->socket[i].mark = mark;
	w->socket[i].bound = bound;
	written_change(w, i);
}

int model_bind(struct mworld *w, int i, int num)
{
	struct msocket *s = &w->socket[i];

	if (s->port)
		return -EINVAL;
	if (s->in_place)
		kept_alloc(s);
	if (!model_port_reachable(w, num))
		return -EADDRNOTAVAIL;
	if (!model_port_join(w, model_port(w, num), i))
		return -EADDRINUSE;
	s->port = num;
	return 0;
}

static struct mqueued *kept_slot(struct msocket *s, __u64 id)
{
	return &s->kept[id % (s->kept_size > KEPT ? KEPT : s->kept_size)];
}

/* False if it has gone. */
static bool kept_remove(struct msocket *s, __u64 id, struct mqueued *q)
{
	struct mqueued *slot = kept_slot(s, id);

	if (!id || slot->id != id)
		return false;
	*q = *slot;
	slot->id = 0;
	return true;
}

static bool kept_oldest(struct msocket *s, struct mqueued *q)
{
	while (s->kept_size && s->first < s->next)
		if (kept_remove(s, s->first++, q))
			return true;
	return false;
}

static bool dequeue(struct msocket *s, struct mqueued *q)
{
	if (!s->queued)
		return false;
	*q = s->queue[0];
	memmove(s->queue, s->queue + 1, --s->queued * sizeof(*q));
	s->bytes -= q->packet.len;
	return true;
}

/* What was read goes before what was not; what comes back meanwhile is not
 * kept any more.
 */
void model_close(struct mworld *w, int i)
{
	struct msocket *s = &w->socket[i];
	struct mport *port = model_port(w, s->port);
	int n = 2 * s->queued;
	struct mqueued q;

	for (;;) {
		if (!kept_oldest(s, &q)) {
			bool any = dequeue(s, &q);

			if (!any || !n--)
				s->closing = true;
			if (!any)
				break;
		}
		dispose(w, i, &q, UNREAD);
	}
	softirq(w);

	if (port)
		model_port_leave(port, i);
	s->open = false;
	written_change(w, i);
}

/* Reading */

size_t model_read_len(const struct msocket *s, const struct mqueued *q)
{
	if (q->keep != KEEP_HEADERS || !s->hold.headers ||
	    (int)s->hold.headers > q->packet.len)
		return q->packet.len;
	return s->hold.headers;
}

bool model_ticket(const struct mqueued *q)
{
	return q->id && (q->keep == KEEP_HEADERS || !q->bound);
}

/* A number for what is to be kept; the oldest makes room. */
static void kept_number(struct mworld *w, int i, struct mqueued *q)
{
	struct msocket *s = &w->socket[i];
	struct mqueued old;

	if (!q->held || !q->keep || !s->kept_size)
		return;
	while (s->next - s->first >= (__u64)s->kept_size)
		if (kept_remove(s, s->first++, &old))
			dispose(w, i, &old, EXPIRED);
	q->id = s->next++;
	if (s->kept_size > KEPT && q->id >= KEPT)
		w->overflow = true;
}

bool model_take(struct mworld *w, int i, struct mqueued *q)
{
	if (!dequeue(&w->socket[i], q))
		return false;
	kept_number(w, i, q);
	model_count(w, i, READ, 1);
	return true;
}

void model_read_done(struct mworld *w, int i, const struct mqueued *q,
		     bool keep)
{
	struct msocket *s = &w->socket[i];

	if (keep && q->id) {
		model_count(w, i, HELD, 1);
		if (q->id >= s->first)
			*kept_slot(s, q->id) = *q;
		else
			dispose(w, i, q, EXPIRED);
	}
	softirq(w);
}

/* Writing */

static void let_go(struct mworld *w, const struct mqueued *q, bool at_rules)
{
	struct mpacket p = q->packet;

	if (!at_rules) {
		behind(w, q);
		return;
	}
	rewind_to(w, &p, q->cookie);
	at_hook(w, &p);
}

void model_batch_end(struct mworld *w)
{
	int i;

	for (i = 0; i < w->batched; i++)
		let_go(w, &w->batch[i], w->batch_rules);
	w->batched = 0;
	softirq(w);
}

/* One batch goes one way. */
static void batch(struct mworld *w, int i, const struct mqueued *q,
		  bool at_rules, bool more)
{
	model_count(w, i, HELD_PASSED, 1);
	if (w->batched && w->batch_rules != at_rules)
		model_batch_end(w);
	w->batch_rules = at_rules;
	w->batch[w->batched++] = *q;
	if (!more)
		model_batch_end(w);
}

static int verdict_upto(struct mworld *w, int i, const struct mdest *to,
			bool more)
{
	struct msocket *s = &w->socket[i];
	bool at_rules = s->hold.flags & DIVERT_HOLD_RULES;
	struct mqueued q, last = { };
	__u64 id;

	if (!s->kept_size || !to->id || to->id >= s->next)
		return -ENOENT;
	for (id = s->first; id <= to->id; id++) {
		if (!kept_remove(s, id, &q))
			continue;
		if (to->verdict & DIVERT_VERDICT_DROP) {
			model_count(w, i, HELD_DROPPED, 1);
			continue;
		}
		if (last.id)
			batch(w, i, &last, at_rules, true);
		last = q;
	}
	if (last.id)
		batch(w, i, &last, at_rules, more);
	return 0;
}

/* A verdict on one packet, whose first @len bytes are replaced. */
static int verdict(struct mworld *w, int i, const struct mpacket *p, int len,
		   const struct mdest *to, bool more)
{
	struct msocket *s = &w->socket[i];
	__u64 id = to->verdict ? to->id : to->ticket;
	__u32 ours = model_ours(&w->masks);
	struct mqueued q;

	if (len && to->verdict & (DIVERT_VERDICT_DROP | DIVERT_VERDICT_UPTO))
		return -EINVAL;
	if (to->verdict & DIVERT_VERDICT_UPTO)
		return to->verdict & DIVERT_VERDICT_RULES ? -EINVAL :
		       verdict_upto(w, i, to, more);

	if (!s->kept_size || !id || id >= s->next)
		return -ENOENT;
	if (!kept_remove(s, id, &q))
		return -ESTALE;
	if (to->verdict & DIVERT_VERDICT_DROP) {
		model_count(w, i, HELD_DROPPED, 1);
		return 0;
	}

	if (len)
		q.packet.value = p->value;
	if (to->marked)
		q.packet.mark = (q.packet.mark & ours) | (to->mark & ~ours);
	if (to->cookie)
		q.cookie = to->cookie;
	batch(w, i, &q, to->verdict & DIVERT_VERDICT_RULES ||
	      s->hold.flags & DIVERT_HOLD_RULES, more);
	return 0;
}

/* False: it takes the ordinary way. */
static bool in_place(struct mworld *w, int i, const struct mpacket *p, int len,
		     const struct mdest *to, bool more)
{
	struct msocket *s = &w->socket[i];
	struct mqueued *slot = kept_slot(s, to->ticket);
	struct mqueued q;
	bool at_rules;

	if (slot->id != to->ticket || slot->keep != KEEP_COPY ||
	    slot->packet.len != len || !to->same_address || s->mark ||
	    (s->bound && !to->incoming))
		return false;
	kept_remove(s, to->ticket, &q);

	at_rules = s->in_place != DIVERT_INPLACE_BEHIND ||
		   to->cookie != q.cookie;
	q.packet.value = p->value;
	q.cookie = to->cookie;
	batch(w, i, &q, at_rules, more);
	return true;
}

static int inject(struct mworld *w, int i, const struct mpacket *packet,
		  int len, const struct mdest *to)
{
	__u32 ours = model_ours(&w->masks);
	struct msocket *s = &w->socket[i];
	int oif = to->oif ?: s->bound ?: to->context_oif;
	struct mpacket p = *packet;
	enum verdict verdict;

	if (len < p.len)
		return -EINVAL;

	/* It does not overtake what was written before it. */
	model_batch_end(w);
	if (!to->incoming && oif && oif != LO)
		return -ENETUNREACH;

	p.mark = to->marked ? to->mark : s->mark ?: to->mark;
	p.mark &= ~ours;
	p.writer = to->incoming ? -1 : i;
	p.sender_mark = s->mark;
	p.sender_bound = s->bound;
	p.cookie = to->cookie;
	p.shown = true;
	mark_show(w, &p);
	p.hook = to->incoming ? PRE : OUT;
	if (to->incoming)
		model_count(w, i, INJECT_IN, 1);
	verdict = at_hook(w, &p);
	softirq(w);
	if (to->incoming)
		return 0;
	if (verdict == DROPPED)
		return -EACCES;
	model_count(w, i, INJECT_OUT, 1);
	return 0;
}

int model_write(struct mworld *w, int i, const struct mpacket *packet,
		int len, const struct mdest *to, bool more)
{
	struct msocket *s = &w->socket[i];

	if (to->verdict || (to->ticket && s->hold.headers))
		return verdict(w, i, packet, len, to, more);
	if (to->ticket && !to->marked && s->in_place &&
	    in_place(w, i, packet, len, to, more))
		return 0;
	return inject(w, i, packet, len, to);
}
