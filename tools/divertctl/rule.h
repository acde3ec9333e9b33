/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rules in ipfw's grammar and what becomes of them:
 *
 *	words ── parse.c ──► struct rule ── compile.c ──► struct nft_rule
 *						 ├─ text.c ──► what nft(8) reads
 *						 └─ expr.c ──► what the kernel reads
 *
 * One rule becomes several of nft: one for each hook it applies to, and for
 * each alternative that nft cannot put into one rule.
 */
#ifndef _RULE_H
#define _RULE_H

#include <net/if.h>
#include <stdint.h>
#include <stdio.h>

#include "divertctl.h"

#define RULE_MAX	65534	/* highest number */
#define RULE_STEP	100	/* from the highest to one without a number */
/* The kernel keeps 256 bytes with a rule of nft, this among them. */
#define RULE_TEXT_MAX	200
#define TABLE		"divertctl"

/* values.c: sets of values */

/* Values in network byte order, from the left. */
struct range {
	uint8_t lo[16];
	uint8_t hi[16];
};

struct ranges {
	struct range *at;
	size_t n;
};

void ranges_add(struct ranges *ranges, const struct range *range);
void ranges_add_number(struct ranges *ranges, int len, uint32_t lo,
		       uint32_t hi);
/* Sort, and join what overlaps or touches. @len: bytes of a value. */
void ranges_merge(struct ranges *ranges, int len);
struct ranges ranges_copy(const struct ranges *ranges);
void ranges_free(struct ranges *ranges);
/* The number of leading bits that @range fixes, or -1 if it is no prefix. */
int range_prefix(const struct range *range, int len);
uint32_t value_number(const uint8_t *value, int len);

/* What a match looks at; key.c says how. */
enum key_id {
	KEY_NFPROTO,
	KEY_L4PROTO,
	KEY_SADDR4,
	KEY_DADDR4,
	KEY_SADDR6,
	KEY_DADDR6,
	KEY_SLOCAL,
	KEY_DLOCAL,
	KEY_SPORT,
	KEY_DPORT,
	KEY_IIFNAME,
	KEY_OIFNAME,
	KEY_ICMP,
	KEY_ICMP6,
	KEY_TTL,
	KEY_HOPLIMIT,
	KEY_TCPFLAGS,
	KEY_UID,
	KEY_GID,
	KEY_MARK,
	KEY_N,
};

enum key_source { FROM_META, FROM_NETWORK, FROM_TRANSPORT, FROM_FIB };

struct key {
	/** @nft: its name in nft */
	const char *nft;
	enum key_source source;
	/** @at: NFT_META_*, NFTA_FIB_F_* or offset in the header */
	uint32_t at;
	/** @len: bytes */
	int len;
	/** @host: the register holds it in host byte order */
	bool host;
	/** @hex: written in hexadecimal */
	bool hex;
	/** @type: nft's number for the type of its sets, 0 = none */
	uint32_t type;
};

extern const struct key keys[KEY_N];

struct match {
	enum key_id key;
	/** @invert: packets that do not match */
	bool invert;
	/** @less: the masked value is less than the one given */
	bool less;
	/** @mask: bits to look at, 0 = all */
	uint32_t mask;
	/** @name: KEY_IIFNAME, KEY_OIFNAME: ends in * for any end */
	char name[IFNAMSIZ];
	/** @values: else */
	struct ranges values;
};

struct matches {
	struct match *at;
	size_t n;
};

struct match *matches_add(struct matches *matches, enum key_id key);
struct match *matches_number(struct matches *matches, enum key_id key,
			     uint32_t number);
struct match *matches_copy(struct matches *matches, const struct match *from);
void matches_free(struct matches *matches);

/* parse.c */

#define FAMILY_4	1
#define FAMILY_6	2
#define DIR_IN		1
#define DIR_OUT		2

/* A "from" or "to" */
struct endpoint {
	bool any;
	bool invert;
	/** @me: FAMILY_*: packets of these with an address of this host */
	int me;
	/** @v4, @v6: the addresses */
	struct ranges v4, v6;
};

struct device {
	char name[IFNAMSIZ];	/* empty: not given */
	bool invert;
};

struct rule {
	/** @number: number and cookie; 0 = to be chosen */
	uint16_t number;
	uint16_t port;
	bool tee;
	/** @families: FAMILY_* */
	int families;
	/** @directions: DIR_* */
	int directions;
	struct endpoint from, to;
	struct device recv, xmit, via;
	/** @matches: of all other words, the same for each hook */
	struct matches matches;
	/** @ttl: FAMILY_4: ip ttl, FAMILY_6: ip6 hoplimit; empty = any */
	struct ranges ttl;
	bool ttl_invert;
	/** @diverted: 1: only what comes from a divert socket, -1: only else */
	int diverted;
	/** @text: the words but for the number, one blank between them */
	char *text;
};

/* @words: everything behind "add". Whatever happened, rule_free(). */
int rule_parse(struct rule *rule, int n, char **words, struct error *err);
void rule_free(struct rule *rule);

/* token.c */

struct tokens {
	char **at;
	int n;
};

struct tokens tokens_make(int n, char **words);
void tokens_free(struct tokens *tokens);
char *tokens_join(const struct tokens *tokens, int from);

/* compile.c */

enum chain_id { CHAIN_IN, CHAIN_OUT, CHAIN_POST, CHAIN_N };

struct chain {
	const char *name;
	const char *hook;
	uint32_t hooknum;
};

extern const struct chain chains[CHAIN_N];

/* mangle + 10: what else sets marks there has done so. */
#define CHAIN_PRIORITY		-140
#define CHAIN_PRIORITY_TEXT	"mangle + 10"

struct nft_rule {
	enum chain_id chain;
	struct matches matches;
	/** @keep: bits of the mark that stay */
	uint32_t keep;
	/** @mark: the others */
	uint32_t mark;
	uint64_t packets, bytes;
};

/* What one rule becomes. */
struct compiled {
	struct nft_rule *at;
	size_t n;
};

int rule_compile(const struct rule *rule, const struct conf *conf,
		 struct compiled *compiled, struct error *err);
void compiled_free(struct compiled *compiled);

/* text.c */

/* What nft(8) shows beside a rule takes at most 128 bytes. False: that is not all
 * of it.
 */
#define RULE_COMMENT_SIZE	128
bool rule_comment(const struct rule *rule, char *comment, size_t size);
/* The rule as nft(8) has it, without a newline. */
void nft_print_rule(FILE *out, const struct nft_rule *nft);
/* The whole table. */
void nft_print_table(FILE *out, const struct rule *rules,
		     const struct compiled *compiled, size_t n);

/* table.c: the table in the kernel */

struct entry {
	struct rule rule;
	struct compiled compiled;
	uint64_t packets, bytes;
	/** @mark: what its rules in the kernel set, 0 = none yet */
	uint32_t mark;
};

struct table {
	struct entry *at;
	size_t n;
	uint32_t generation;
};

/* What is there, in order of numbers. */
int table_read(struct table *table, struct error *err);
/* Put @table in place of what is there; *@again if that has changed since. */
int table_write(const struct table *table, bool *again, struct error *err);
struct entry *table_find(const struct table *table, unsigned int number);
/* Takes over @rule. */
void table_add(struct table *table, struct rule *rule);
void table_delete(struct table *table, struct entry *entry);
int table_compile(struct table *table, const struct conf *conf,
		  struct error *err);
void table_free(struct table *table);

#endif /* _RULE_H */
