// SPDX-License-Identifier: GPL-2.0
/* What may follow source and destination. */

#include <ctype.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>

#include "parse.h"

#define TCP_SYN		0x02
#define TCP_RST		0x04
#define TCP_ACK		0x10

struct option_word {
	const char *word;
	/* @invert: "not" came before; the word itself has been taken */
	int (*parse)(struct parser *p, const char *word, bool invert);
};

static int restrict_directions(struct parser *p, const char *word,
			       int directions)
{
	p->rule->directions &= directions;
	if (p->rule->directions)
		return 0;
	return fail(p->err, "%s: contradicts what was said before it: no packet comes in and goes out at once",
		    word);
}

static int parse_in(struct parser *p, const char *word, bool invert)
{
	return restrict_directions(p, word, invert ? DIR_OUT : DIR_IN);
}

static int parse_out(struct parser *p, const char *word, bool invert)
{
	return restrict_directions(p, word, invert ? DIR_IN : DIR_OUT);
}

/* A star stands for any end; the kernel compares what is before it. */
static int parse_device(struct parser *p, const char *word, bool invert,
			struct device *device)
{
	const char *name = take(p);
	size_t len = strlen(name);

	if (device->name[0])
		return fail(p->err, "%s: is there twice", word);
	if (!len)
		return fail(p->err, "%s: the name of an interface is missing",
			    word);
	if (isdigit((unsigned char)*name) && strchr(name, '.'))
		return fail(p->err, "%s: takes the name of an interface, not its address (%s)",
			    word, name);
	if (!strcmp(name, "*"))
		return fail(p->err, "%s: any interface is what a rule has that does not say \"%s\"",
			    name, word);
	if (len >= sizeof(device->name) || strpbrk(name, "/:{}(),") ||
	    strcspn(name, "*") + 1 < len)
		return fail(p->err, "%s: not the name of an interface: at most %zu characters, a * at the end stands for any",
			    name, sizeof(device->name) - 1);
	strcpy(device->name, name);
	device->invert = invert;
	return 0;
}

static int parse_recv(struct parser *p, const char *word, bool invert)
{
	return parse_device(p, word, invert, &p->rule->recv);
}

static int parse_xmit(struct parser *p, const char *word, bool invert)
{
	return parse_device(p, word, invert, &p->rule->xmit) ?:
	       restrict_directions(p, word, DIR_OUT);
}

static int parse_via(struct parser *p, const char *word, bool invert)
{
	return parse_device(p, word, invert, &p->rule->via);
}

static int need_protocol(struct parser *p, const char *word, int protocol,
			 const char *name)
{
	if (protocol_is(p, protocol))
		return 0;
	return fail(p->err, "%s: needs the protocol %s", word, name);
}

/* Packets whose flags under @mask are @flags; 0 = any of the mask */
static void match_flags(struct parser *p, uint32_t mask, uint32_t flags,
			bool invert)
{
	struct match *match;

	match = matches_number(&p->rule->matches, KEY_TCPFLAGS, flags);
	match->mask = mask;
	match->invert = invert;
}

static int parse_established(struct parser *p, const char *word, bool invert)
{
	if (need_protocol(p, word, IPPROTO_TCP, "tcp"))
		return -1;
	/* Any of the two: not none. */
	match_flags(p, TCP_RST | TCP_ACK, 0, !invert);
	return 0;
}

static int parse_setup(struct parser *p, const char *word, bool invert)
{
	if (need_protocol(p, word, IPPROTO_TCP, "tcp"))
		return -1;
	match_flags(p, TCP_SYN | TCP_ACK, TCP_SYN, invert);
	return 0;
}

static uint32_t tcp_flag(const char *name)
{
	static const char * const names[] = {
		"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(name, names[i]))
			return 1U << i;
	return 0;
}

/* syn,!ack */
static int parse_tcpflags(struct parser *p, const char *word, bool invert)
{
	char list[64] = "", *name, *rest = list;
	uint32_t mask = 0, flags = 0, flag;

	if (need_protocol(p, word, IPPROTO_TCP, "tcp"))
		return -1;
	strncpy(list, take(p), sizeof(list) - 1);
	while ((name = strsep(&rest, ","))) {
		flag = tcp_flag(name + (*name == '!'));
		if (!flag)
			return fail(p->err, "%s: \"%s\" is none of fin, syn, rst, psh, ack, urg, ece, cwr, with or without ! before it",
				    word, name);
		mask |= flag;
		flags |= *name == '!' ? 0 : flag;
	}
	match_flags(p, mask, flags, invert);
	return 0;
}

static int parse_types(struct parser *p, const char *word, bool invert,
		       enum key_id key)
{
	struct match *match = matches_add(&p->rule->matches, key);

	match->invert = invert;
	return parse_list(p, word, 1, 255, &match->values);
}

static int parse_icmptypes(struct parser *p, const char *word, bool invert)
{
	return need_protocol(p, word, IPPROTO_ICMP, "icmp") ?:
	       parse_types(p, word, invert, KEY_ICMP);
}

static int parse_icmp6types(struct parser *p, const char *word, bool invert)
{
	return need_protocol(p, word, IPPROTO_ICMPV6, "icmp6") ?:
	       parse_types(p, word, invert, KEY_ICMP6);
}

static int parse_ttl(struct parser *p, const char *word, bool invert)
{
	if (p->rule->ttl.n)
		return fail(p->err, "%s: is there twice", word);
	p->rule->ttl_invert = invert;
	if (parse_list(p, word, 1, 255, &p->rule->ttl))
		return -1;
	if (p->rule->ttl.n > 1)
		return fail(p->err, "%s: takes one number or one range", word);
	return 0;
}

static int match_owner(struct parser *p, const char *word, bool invert,
		       enum key_id key, uint32_t id)
{
	matches_number(&p->rule->matches, key, id)->invert = invert;
	/* What is received has no sender here. */
	return restrict_directions(p, word, DIR_OUT);
}

static int parse_uid(struct parser *p, const char *word, bool invert)
{
	const char *name = take(p);
	const struct passwd *user;
	unsigned long uid;

	if (!parse_number(name, 0, UINT32_MAX, &uid)) {
		user = getpwnam(name);
		if (!user)
			return fail(p->err, "%s: there is no user \"%s\"", word,
				    name);
		uid = user->pw_uid;
	}
	return match_owner(p, word, invert, KEY_UID, uid);
}

static int parse_gid(struct parser *p, const char *word, bool invert)
{
	const char *name = take(p);
	const struct group *group;
	unsigned long gid;

	if (!parse_number(name, 0, UINT32_MAX, &gid)) {
		group = getgrnam(name);
		if (!group)
			return fail(p->err, "%s: there is no group \"%s\"",
				    word, name);
		gid = group->gr_gid;
	}
	return match_owner(p, word, invert, KEY_GID, gid);
}

static int parse_diverted(struct parser *p, const char *word, bool invert)
{
	if (p->rule->diverted)
		return fail(p->err, "%s: is there twice", word);
	p->rule->diverted = invert ? -1 : 1;
	return 0;
}

static int parse_src_port(struct parser *p, const char *word, bool invert)
{
	size_t before = p->rule->matches.n;

	if (parse_ports(p, KEY_SPORT))
		return -1;
	if (p->rule->matches.n == before)
		return fail(p->err, "%s: a port is missing", word);
	p->rule->matches.at[before].invert ^= invert;
	return 0;
}

static int parse_dst_port(struct parser *p, const char *word, bool invert)
{
	size_t before = p->rule->matches.n;

	if (parse_ports(p, KEY_DPORT))
		return -1;
	if (p->rule->matches.n == before)
		return fail(p->err, "%s: a port is missing", word);
	p->rule->matches.at[before].invert ^= invert;
	return 0;
}

static const struct option_word options[] = {
	{ "diverted", parse_diverted },
	{ "dst-port", parse_dst_port },
	{ "established", parse_established },
	{ "gid", parse_gid },
	{ "icmp6types", parse_icmp6types },
	{ "icmptypes", parse_icmptypes },
	{ "in", parse_in },
	{ "ipttl", parse_ttl },
	{ "out", parse_out },
	{ "recv", parse_recv },
	{ "setup", parse_setup },
	{ "src-port", parse_src_port },
	{ "tcpflags", parse_tcpflags },
	{ "uid", parse_uid },
	{ "via", parse_via },
	{ "xmit", parse_xmit },
};

/* Words of ipfw that have no place here, and what has. */
static const struct {
	const char *word, *advice;
} others[] = {
	{ "bridged", "frames of a bridge are not diverted" },
	{ "diverted-loopback", "write \"diverted in\"" },
	{ "diverted-output", "write \"diverted out\"" },
	{ "dst-ip", "write the address behind \"to\"" },
	{ "frag", "fragments are reassembled before rules see them" },
	{ "ipsec", "use nft's \"ipsec\"" },
	{ "keep-state", "use nft's \"ct state\"" },
	{ "layer2", "only IP packets are diverted" },
	{ "limit", "use nft's \"ct count\"" },
	{ "log", "watch with divertctl dump" },
	{ "MAC", "use nft's \"ether saddr\"" },
	{ "mac", "use nft's \"ether saddr\"" },
	{ "or", "give each alternative a rule" },
	{ "prob", "use nft's \"numgen random\"" },
	{ "proto", "write the protocol before \"from\"" },
	{ "src-ip", "write the address behind \"from\"" },
	{ "tagged", "use nft's \"ct mark\"" },
	{ "{", "give each alternative a rule" },
};

static const struct option_word *find_option(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (!strcmp(word, options[i].word))
			return &options[i];
	return NULL;
}

static const char *advice(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (!strcmp(word, others[i].word))
			return others[i].advice;
	return NULL;
}

bool is_option(const char *word)
{
	return find_option(word) || advice(word) || !strncmp(word, "//", 2);
}

static int unknown_option(struct parser *p, const char *word)
{
	if (advice(word))
		return fail(p->err, "%s: not possible here; %s", word,
			    advice(word));
	return fail(p->err, "%s: not known; what may stand here is ports, in, out, recv, xmit, via, src-port, dst-port, established, setup, tcpflags, icmptypes, icmp6types, ipttl, uid, gid, diverted; for more, write a rule in nft (divertctl list --nft shows how)",
		    word);
}

int parse_options(struct parser *p)
{
	const struct option_word *option;
	const char *word;
	bool invert;

	while (!at_end(p) && strncmp(peek(p), "//", 2)) {
		invert = accept_word(p, "not");
		if (at_end(p))
			return fail(p->err, "not: something must follow it");
		word = take(p);
		option = find_option(word);
		if (!option)
			return unknown_option(p, word);
		if (option->parse(p, word, invert))
			return -1;
	}
	return 0;
}
