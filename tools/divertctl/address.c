// SPDX-License-Identifier: GPL-2.0
/* Addresses and ports of a rule. */

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

static void set_range(struct range *range, int prefix, int len)
{
	for (int i = prefix; i < len * 8; i++) {
		range->lo[i / 8] &= ~(0x80 >> i % 8);
		range->hi[i / 8] |= 0x80 >> i % 8;
	}
}

/* Length of the mask's prefix, or -1. */
static int mask_prefix(const char *text)
{
	struct in_addr mask;
	uint32_t bits;

	if (inet_pton(AF_INET, text, &mask) != 1)
		return -1;
	bits = ntohl(mask.s_addr);
	if (~bits & (~bits + 1))
		return -1;
	return __builtin_popcount(bits);
}

/* Behind "/" (a number) or ":" (a mask) */
static int parse_prefix(struct parser *p, const char *word, const char *text,
			bool mask, int max)
{
	unsigned long number;
	int prefix;

	if (!mask) {
		if (parse_number(text, 0, max, &number))
			return number;
		return fail(p->err, "%s: the length of a prefix is 0 to %d",
			    word, max);
	}
	prefix = mask_prefix(text);
	if (prefix < 0)
		return fail(p->err, "%s: a mask is ones, then zeros, as in 10.0.0.0:255.0.0.0",
			    word);
	return prefix;
}

static int bad_address(struct parser *p, const char *word)
{
	if (strspn(word, "0123456789") == strlen(word))
		return fail(p->err, "%s: not an address; ports come after the address, as in \"from any 80\"",
			    word);
	return fail(p->err, "%s: not an address; it is any, me, me6, or a list of addresses like 10.0.0.0/8,fd00::/8 (names are not looked up)",
		    word);
}

static int parse_address(struct parser *p, const char *word,
			 struct endpoint *endpoint)
{
	char text[INET6_ADDRSTRLEN] = "";
	size_t dot = strcspn(word, ".:");
	bool v4 = word[dot] == '.';
	size_t len = strcspn(word, v4 ? "/:" : "/");
	struct range range = { 0 };
	int size = v4 ? 4 : 16, prefix = size * 8;

	if (len < sizeof(text))
		memcpy(text, word, len);
	if (inet_pton(v4 ? AF_INET : AF_INET6, text, range.lo) != 1)
		return bad_address(p, word);
	if (word[len])
		prefix = parse_prefix(p, word, word + len + 1, word[len] == ':',
				      size * 8);
	if (prefix < 0)
		return -1;
	memcpy(range.hi, range.lo, size);
	set_range(&range, prefix, size);
	ranges_add(v4 ? &endpoint->v4 : &endpoint->v6, &range);
	return 0;
}

static int parse_address_word(struct parser *p, const char *word,
			      struct endpoint *endpoint)
{
	if (!strcmp(word, "any"))
		endpoint->any = true;
	else if (!strcmp(word, "me"))
		endpoint->me = FAMILY_4 | FAMILY_6;
	else if (!strcmp(word, "me6"))
		endpoint->me |= FAMILY_6;
	else
		return parse_address(p, word, endpoint);
	return 0;
}

static int parse_address_list(struct parser *p, struct endpoint *endpoint)
{
	char *list, *word, *rest;
	int ret = 0;

	if (at_end(p) || next_is(p, "to"))
		return fail(p->err, "%s: an address is missing before it; any is one",
			    peek(p));
	if (next_is(p, "table"))
		return fail(p->err, "table: there are no lookup tables; write a list of addresses, or a rule in nft with a set");
	list = must_print("%s", take(p));
	for (rest = list; !ret && (word = strsep(&rest, ","));)
		ret = parse_address_word(p, word, endpoint);
	free(list);
	return ret;
}

static int check_endpoint(struct parser *p, struct endpoint *endpoint)
{
	if (endpoint->any && endpoint->invert)
		return fail(p->err, "not any: matches nothing");
	if (endpoint->any && (endpoint->me || endpoint->v4.n || endpoint->v6.n))
		return fail(p->err, "any: needs no other address beside it");
	ranges_merge(&endpoint->v4, 4);
	ranges_merge(&endpoint->v6, 16);
	return 0;
}

int parse_endpoint(struct parser *p, struct endpoint *endpoint)
{
	endpoint->invert = accept_word(p, "not");
	if (!accept_word(p, "{"))
		return parse_address_list(p, endpoint) ?:
		       check_endpoint(p, endpoint);
	do {
		if (parse_address_list(p, endpoint))
			return -1;
	} while (accept_word(p, "or"));
	if (!accept_word(p, "}"))
		return fail(p->err, "%s: expected \"or\" or } after an address",
			    peek(p));
	return check_endpoint(p, endpoint);
}

/* Ports */

static int port_number(const char *text, unsigned long *port)
{
	const struct servent *entry;

	if (parse_number(text, 0, 65535, port))
		return 0;
	entry = getservbyname(text, NULL);
	if (!entry)
		return -1;
	*port = ntohs(entry->s_port);
	return 0;
}

/* A name may have a dash in it, too. */
static int port_range(char *word, unsigned long *lo, unsigned long *hi)
{
	char *dash;

	if (!port_number(word, lo)) {
		*hi = *lo;
		return 0;
	}
	dash = strchr(word, '-');
	if (!dash)
		return -1;
	*dash = 0;
	if (port_number(word, lo) || port_number(dash + 1, hi)) {
		*dash = '-';
		return -1;
	}
	*dash = '-';
	return 0;
}

static int parse_port_range(struct parser *p, char *word, struct ranges *ranges)
{
	unsigned long lo, hi;

	if (port_range(word, &lo, &hi))
		return fail(p->err, "%s: not a port; it is a number from 0 to 65535, a name of /etc/services, or a range like 8000-8010",
			    word);
	if (lo > hi)
		return fail(p->err, "%s: the range ends before it begins; %lu-%lu is one",
			    word, hi, lo);
	ranges_add_number(ranges, 2, lo, hi);
	return 0;
}

static bool has_ports(int protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
	       protocol == IPPROTO_DCCP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE;
}

static bool can_have_ports(const struct parser *p)
{
	for (size_t i = 0; i < p->protocols.n; i++)
		for (int n = p->protocols.at[i].lo[0];
		     n <= p->protocols.at[i].hi[0]; n++)
			if (!has_ports(n))
				return false;
	return p->protocols.n;
}

/* Is the first of a list a port? */
static bool is_port(const char *word)
{
	char *name = must_print("%.*s", (int)strcspn(word, ","), word);
	unsigned long lo, hi;
	bool port = isdigit((unsigned char)*name) ||
		    !port_range(name, &lo, &hi);

	free(name);
	return port;
}

/* Does a port list follow, or the next part of the rule? */
static bool ports_follow(const struct parser *p)
{
	const char *word = peek(p);

	if (next_is(p, "not") && p->i + 1 < p->tokens.n)
		word = p->tokens.at[p->i + 1];
	return !at_end(p) && strcmp(word, "to") && !is_option(word) &&
	       is_port(word);
}

int parse_ports(struct parser *p, enum key_id key)
{
	struct match *match;
	char *list, *word, *rest;
	int ret = 0;

	if (!ports_follow(p))
		return 0;
	match = matches_add(&p->rule->matches, key);
	match->invert = accept_word(p, "not");
	list = must_print("%s", take(p));
	for (rest = list; !ret && (word = strsep(&rest, ","));)
		ret = parse_port_range(p, word, &match->values);
	if (!ret && !can_have_ports(p))
		ret = fail(p->err, "%s: ports need the protocol tcp, udp, sctp, udplite or dccp; for several write { tcp or udp }",
			   list);
	free(list);
	ranges_merge(&match->values, 2);
	return ret;
}

int parse_list(struct parser *p, const char *what, int len, unsigned long max,
	       struct ranges *ranges)
{
	char *list = must_print("%s", take(p)), *word, *rest, *dash;
	unsigned long lo, hi;
	int ret = 0;

	for (rest = list; !ret && (word = strsep(&rest, ","));) {
		dash = strchr(word, '-');
		if (dash)
			*dash = 0;
		if (!parse_number(word, 0, max, &lo) ||
		    !parse_number(dash ? dash + 1 : word, lo, max, &hi))
			ret = fail(p->err, "%s: \"%s%s%s\" is not a number or range from 0 to %lu",
				   what, word, dash ? "-" : "",
				   dash ? dash + 1 : "", max);
		else
			ranges_add_number(ranges, len, lo, hi);
	}
	free(list);
	ranges_merge(ranges, len);
	return ret;
}
