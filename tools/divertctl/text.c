// SPDX-License-Identifier: GPL-2.0
/* A rule as nft(8) reads it. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "rule.h"

bool rule_comment(const struct rule *rule, char *comment, size_t size)
{
	int len = snprintf(comment, size, "%u %s", rule->number, rule->text);

	if (len < (int)size)
		return true;
	snprintf(comment, size, "%u ...", rule->number);
	return false;
}

static void print_address(FILE *out, const struct range *range, int len)
{
	int family = len == 4 ? AF_INET : AF_INET6;
	int prefix = range_prefix(range, len);
	char text[INET6_ADDRSTRLEN];

	fputs(inet_ntop(family, range->lo, text, sizeof(text)), out);
	if (prefix == len * 8)
		return;
	if (prefix >= 0)
		fprintf(out, "/%d", prefix);
	else
		fprintf(out, "-%s",
			inet_ntop(family, range->hi, text, sizeof(text)));
}

static void print_number(FILE *out, const struct key *key, uint32_t number)
{
	if (!key->hex)
		fprintf(out, "%u", number);
	else
		fprintf(out, "0x%0*x", key->len * 2, number);
}

static void print_range(FILE *out, const struct key *key,
			const struct range *range)
{
	uint32_t lo = value_number(range->lo, key->len);
	uint32_t hi = value_number(range->hi, key->len);

	if (key->source == FROM_NETWORK && key->type) {
		print_address(out, range, key->len);
		return;
	}
	print_number(out, key, lo);
	if (hi != lo) {
		fputc('-', out);
		print_number(out, key, hi);
	}
}

static void print_values(FILE *out, const struct match *match)
{
	const struct key *key = &keys[match->key];

	if (match->values.n == 1) {
		print_range(out, key, &match->values.at[0]);
		return;
	}
	fputs("{ ", out);
	for (size_t i = 0; i < match->values.n; i++) {
		if (i)
			fputs(", ", out);
		print_range(out, key, &match->values.at[i]);
	}
	fputs(" }", out);
}

/* Where a number would not be taken, or says less than its name */
static const char *word_of(const struct match *match)
{
	switch (match->key) {
	case KEY_NFPROTO:
		return match->values.at[0].lo[0] == NFPROTO_IPV4 ? "ipv4" :
								    "ipv6";
	case KEY_SLOCAL:
	case KEY_DLOCAL:
		return "local";
	default:
		return NULL;
	}
}

static void print_match(FILE *out, const struct match *match)
{
	const struct key *key = &keys[match->key];

	fputs(key->nft, out);
	if (match->mask && match->mask != UINT32_MAX)
		fprintf(out, " & 0x%0*x", key->len * 2, match->mask);
	if (match->less)
		fputs(" <", out);
	else if (match->invert)
		fputs(" !=", out);
	else if (match->mask)
		fputs(" ==", out);
	fputc(' ', out);

	if (match->name[0])
		fprintf(out, "\"%s\"", match->name);
	else if (word_of(match))
		fputs(word_of(match), out);
	else
		print_values(out, match);
	fputc(' ', out);
}

void nft_print_rule(FILE *out, const struct nft_rule *nft)
{
	for (size_t i = 0; i < nft->matches.n; i++)
		print_match(out, &nft->matches.at[i]);
	if (nft->packets)
		fprintf(out, "counter packets %llu bytes %llu ",
			(unsigned long long)nft->packets,
			(unsigned long long)nft->bytes);
	else
		fputs("counter ", out);
	if (nft->keep)
		fprintf(out, "meta mark set meta mark & 0x%08x | 0x%08x accept",
			nft->keep, nft->mark);
	else
		fprintf(out, "meta mark set 0x%08x accept", nft->mark);
}

static void print_chain(FILE *out, enum chain_id chain,
			const struct rule *rules,
			const struct compiled *compiled, size_t n)
{
	char comment[RULE_COMMENT_SIZE];

	fprintf(out, "\tchain %s {\n\t\ttype filter hook %s priority "
		CHAIN_PRIORITY_TEXT "; policy accept;\n",
		chains[chain].name, chains[chain].hook);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < compiled[i].n; j++) {
			if (compiled[i].at[j].chain != chain)
				continue;
			rule_comment(&rules[i], comment, sizeof(comment));
			fputs("\t\t", out);
			nft_print_rule(out, &compiled[i].at[j]);
			fprintf(out, " comment \"%s\"\n", comment);
		}
	}
	fputs("\t}\n", out);
}

void nft_print_table(FILE *out, const struct rule *rules,
		     const struct compiled *compiled, size_t n)
{
	if (!n)
		return;
	fputs("table inet " TABLE " {\n", out);
	for (enum chain_id chain = 0; chain < CHAIN_N; chain++)
		print_chain(out, chain, rules, compiled, n);
	fputs("}\n", out);
}
