// SPDX-License-Identifier: GPL-2.0
/*
 * ipfw's grammar, for what a divert rule can be:
 *
 *	[NUMBER] divert|tee PORT PROTO from ADDRESS [PORTS] to ADDRESS [PORTS]
 *	[OPTION]... [// comment]
 */

#include <ctype.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

bool at_end(const struct parser *p)
{
	return p->i >= p->tokens.n;
}

const char *peek(const struct parser *p)
{
	return at_end(p) ? "the end" : p->tokens.at[p->i];
}

bool next_is(const struct parser *p, const char *word)
{
	return !at_end(p) && !strcmp(p->tokens.at[p->i], word);
}

const char *take(struct parser *p)
{
	return at_end(p) ? "" : p->tokens.at[p->i++];
}

bool accept_word(struct parser *p, const char *word)
{
	if (!next_is(p, word))
		return false;
	p->i++;
	return true;
}

bool protocol_is(const struct parser *p, int protocol)
{
	return p->protocols.n == 1 && p->protocols.at[0].lo[0] == protocol &&
	       p->protocols.at[0].hi[0] == protocol;
}

/* Words of ipfw that people will try, and what to do instead. */
static const struct {
	const char *word, *advice;
} other_actions[] = {
	{ "accept", "write it in nft, before priority mangle + 10" },
	{ "allow", "write it in nft, before priority mangle + 10" },
	{ "check-state", "use nft's \"ct state\"" },
	{ "count", "use nft's counter" },
	{ "deny", "write it in nft" },
	{ "drop", "write it in nft" },
	{ "fwd", "use ip rule and ip route" },
	{ "nat", "use nft's nat chains" },
	{ "pass", "write it in nft, before priority mangle + 10" },
	{ "permit", "write it in nft, before priority mangle + 10" },
	{ "pipe", "use tc" },
	{ "queue", "use tc or nft's queue" },
	{ "reject", "write it in nft" },
	{ "reset", "write it in nft" },
	{ "set", "sets of rules are not there; write the action, divert or tee" },
	{ "skipto", "a daemon jumps by writing a greater cookie" },
	{ "unreach", "write it in nft" },
};

static int parse_action(struct parser *p)
{
	if (accept_word(p, "divert"))
		return 0;
	if (accept_word(p, "tee")) {
		p->rule->tee = true;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(other_actions); i++)
		if (next_is(p, other_actions[i].word))
			return fail(p->err, "%s: divertctl has the actions divert and tee only; %s",
				    peek(p), other_actions[i].advice);
	return fail(p->err, "%s: not an action; after the number comes divert or tee",
		    peek(p));
}

static int parse_number_word(struct parser *p)
{
	unsigned long number;

	if (at_end(p) || !isdigit((unsigned char)*peek(p)))
		return 0;
	if (!parse_number(peek(p), 1, RULE_MAX, &number))
		return fail(p->err, "%s: not a rule number; it is 1 to %d",
			    peek(p), RULE_MAX);
	p->rule->number = number;
	p->i++;
	return 0;
}

static int parse_divert_port(struct parser *p)
{
	unsigned long port;

	if (at_end(p) || !parse_number(peek(p), 1, 65535, &port))
		return fail(p->err, "%s: not a divert port; it is a number from 1 to 65535, as natd's 8668",
			    peek(p));
	p->rule->port = port;
	p->i++;
	return 0;
}

/* Those a rule needs most are known without /etc/protocols, which a small
 * system does not have.
 */
static const struct {
	const char *name;
	int number;
} protocol_names[] = {
	{ "icmp", IPPROTO_ICMP },
	{ "igmp", IPPROTO_IGMP },
	{ "tcp", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP },
	{ "dccp", IPPROTO_DCCP },
	{ "gre", IPPROTO_GRE },
	{ "esp", IPPROTO_ESP },
	{ "ah", IPPROTO_AH },
	{ "icmp6", IPPROTO_ICMPV6 },
	{ "sctp", IPPROTO_SCTP },
	{ "udplite", IPPROTO_UDPLITE },
};

/* Protocol by name or number; -1 if it is none. */
static int protocol_number(const char *word)
{
	const struct protoent *entry;
	unsigned long number;
	size_t i;

	if (parse_number(word, 1, 255, &number))
		return number;
	for (i = 0; i < sizeof(protocol_names) / sizeof(*protocol_names); i++)
		if (!strcmp(word, protocol_names[i].name))
			return protocol_names[i].number;
	entry = getprotobyname(word);
	return entry && entry->p_proto ? entry->p_proto : -1;
}

static int parse_protocol(struct parser *p)
{
	int number;

	if (next_is(p, "from"))
		return fail(p->err, "from: a protocol is missing before it; ip is any");
	number = at_end(p) ? -1 : protocol_number(peek(p));
	if (number < 0)
		return fail(p->err, "%s: not a protocol; it is ip, ip4, ip6, tcp, udp, icmp, another of /etc/protocols, or a number from 1 to 255",
			    peek(p));
	ranges_add_number(&p->protocols, 1, number, number);
	p->i++;
	return 0;
}

static int parse_protocols(struct parser *p)
{
	if (accept_word(p, "ip") || accept_word(p, "all"))
		return 0;
	if (accept_word(p, "ip4") || accept_word(p, "ipv4")) {
		p->rule->families = FAMILY_4;
		return 0;
	}
	if (accept_word(p, "ip6") || accept_word(p, "ipv6")) {
		p->rule->families = FAMILY_6;
		return 0;
	}
	if (!accept_word(p, "{"))
		return parse_protocol(p);
	do {
		if (parse_protocol(p))
			return -1;
	} while (accept_word(p, "or"));
	if (!accept_word(p, "}"))
		return fail(p->err, "%s: expected \"or\" or } after a protocol",
			    peek(p));
	ranges_merge(&p->protocols, 1);
	return 0;
}

static int expect(struct parser *p, const char *word, const char *after)
{
	if (accept_word(p, word))
		return 0;
	return fail(p->err, "%s: expected \"%s\" after the %s", peek(p), word,
		    after);
}

static void apply_protocols(struct parser *p)
{
	struct match *match;

	if (protocol_is(p, IPPROTO_ICMP))
		p->rule->families = FAMILY_4;
	if (protocol_is(p, IPPROTO_ICMPV6))
		p->rule->families = FAMILY_6;
	if (!p->protocols.n)
		return;
	match = matches_add(&p->rule->matches, KEY_L4PROTO);
	match->values = ranges_copy(&p->protocols);
}

static int parse_body(struct parser *p)
{
	if (parse_protocols(p))
		return -1;
	apply_protocols(p);
	if (expect(p, "from", "protocol") ||
	    parse_endpoint(p, &p->rule->from) || parse_ports(p, KEY_SPORT))
		return -1;
	if (expect(p, "to", "source") ||
	    parse_endpoint(p, &p->rule->to) || parse_ports(p, KEY_DPORT))
		return -1;
	return parse_options(p);
}

/* The text is kept as a comment of nft's, between quotes. */
static int check_text(struct parser *p)
{
	const char *text = p->rule->text;

	for (; *text; text++)
		if (*text == '"' || (unsigned char)*text < ' ' ||
		    (unsigned char)*text > '~')
			return fail(p->err, "a rule has no quotes and no characters but ASCII's: %s",
				    p->rule->text);
	if (strlen(p->rule->text) > RULE_TEXT_MAX)
		return fail(p->err, "the rule has %zu characters, %d at most: make it two, or use a set of nft",
			    strlen(p->rule->text), RULE_TEXT_MAX);
	return 0;
}

static int parse_rule(struct parser *p)
{
	if (!p->tokens.n)
		return fail(p->err, "no rule given; for example: add 100 divert 8668 ip from any to any via eth0");
	if (parse_number_word(p))
		return -1;
	p->rule->text = tokens_join(&p->tokens, p->i);
	if (check_text(p) || parse_action(p) || parse_divert_port(p))
		return -1;
	return parse_body(p);
}

int rule_parse(struct rule *rule, int n, char **words, struct error *err)
{
	struct parser p = {
		.tokens = tokens_make(n, words),
		.rule = rule,
		.err = err,
	};
	int ret;

	*rule = (struct rule){
		.families = FAMILY_4 | FAMILY_6,
		.directions = DIR_IN | DIR_OUT,
	};
	ret = parse_rule(&p);
	ranges_free(&p.protocols);
	tokens_free(&p.tokens);
	return ret;
}

void rule_free(struct rule *rule)
{
	ranges_free(&rule->from.v4);
	ranges_free(&rule->from.v6);
	ranges_free(&rule->to.v4);
	ranges_free(&rule->to.v6);
	ranges_free(&rule->ttl);
	matches_free(&rule->matches);
	free(rule->text);
	rule->text = NULL;
}
