// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: whatever the words are, a rule is refused with a reason, or
 * becomes rules of nft in both languages and is the same when it is read back.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expr.h"

static const struct conf conf = {
	.loaded		= true,
	.port_mask	= 0xffff0000,
	.cookie_mask	= 0x00007fff,
	.tee_mask	= 0x00008000,
	.port_range	= { 1, 65535 },
};

static void expect(bool good)
{
	if (!good)
		abort();
}

static void check_kept(const struct rule *rule, const struct nftnl_rule *nft)
{
	char text[RULE_TEXT_MAX + 1];
	unsigned int number;

	expect(!expr_read(nft, text, sizeof(text), &number));
	expect(number == rule->number && !strcmp(text, rule->text));
}

static void check_compiled(const struct rule *rule,
			   const struct compiled *compiled, FILE *null)
{
	struct sets sets = { 0 };
	struct nftnl_rule *nft;

	for (size_t i = 0; i < compiled->n; i++) {
		nft = expr_rule(rule, &compiled->at[i], &sets);
		check_kept(rule, nft);
		nftnl_rule_free(nft);
	}
	sets_free(&sets);
	nft_print_table(null, rule, compiled, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = must_print("%.*s", (int)size, (const char *)data);
	struct compiled compiled = { 0 };
	struct error err = { "" };
	static FILE *null;
	struct rule rule;
	int ret;

	if (!null)
		null = fopen("/dev/null", "w");
	ret = rule_parse(&rule, 1, &text, &err);
	if (!ret && !rule.number)
		rule.number = RULE_STEP;
	if (!ret)
		ret = rule_compile(&rule, &conf, &compiled, &err);
	if (ret)
		expect(err.text[0]);
	else
		check_compiled(&rule, &compiled, null);
	compiled_free(&compiled);
	rule_free(&rule);
	free(text);
	return 0;
}
