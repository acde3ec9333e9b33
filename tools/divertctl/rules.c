// SPDX-License-Identifier: GPL-2.0
/* divertctl add, delete, list, flush: rules in ipfw's grammar. */

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"

/* Read the table, change it, write it; anew if somebody was faster. @change
 * returns -1, or 0 to write, or 1 if there is nothing to write.
 */
static int table_change(int (*change)(struct table *table, void *data,
				      struct error *err),
			void *data, struct error *err)
{
	struct table table;
	struct conf conf;
	bool again;
	int ret;

	for (int i = 0; i < TRIES; i++) {
		conf_read(&conf);
		if (table_read(&table, err))
			return -1;
		again = false;
		ret = change(&table, data, err);
		if (!ret)
			ret = table_compile(&table, &conf, err) ?:
			      table_write(&table, &again, err);
		table_free(&table);
		if (!again)
			return ret < 0 ? -1 : 0;
	}
	return fail(err, "the ruleset keeps changing: somebody else writes it all the time");
}

static int report(int ret, const struct error *err)
{
	if (!ret)
		return 0;
	fflush(stdout);
	fprintf(stderr, "divertctl: %s\n", err->text);
	return STATUS_FAILED;
}

/* add */

struct adding {
	int n;
	char **words;
	bool replace;
	/* @number: that it got */
	unsigned int number;
};

static unsigned int next_number(const struct table *table)
{
	unsigned int last = table->n ? table->at[table->n - 1].rule.number : 0;

	return last + RULE_STEP;
}

/* The same rule again changes nothing. */
static int add_over(struct table *table, struct entry *old, struct rule *rule,
		    bool replace, struct error *err)
{
	if (!strcmp(old->rule.text, rule->text)) {
		rule_free(rule);
		/* It may have been made under other masks. */
		return 0;
	}
	if (!replace) {
		fail(err, "rule %u is there: \"%s\"; delete it first, or add --replace",
		     rule->number, old->rule.text);
		rule_free(rule);
		return -1;
	}
	table_delete(table, old);
	table_add(table, rule);
	return 0;
}

static int change_add(struct table *table, void *data, struct error *err)
{
	struct adding *adding = data;
	struct entry *old;
	struct rule rule;

	if (rule_parse(&rule, adding->n, adding->words, err)) {
		rule_free(&rule);
		return -1;
	}
	if (!rule.number && next_number(table) > RULE_MAX) {
		rule_free(&rule);
		return fail(err, "no number is free behind the last rule; give one");
	}
	if (!rule.number)
		rule.number = next_number(table);
	adding->number = rule.number;
	old = table_find(table, rule.number);
	if (old)
		return add_over(table, old, &rule, adding->replace, err);
	table_add(table, &rule);
	return 0;
}

/* Show what a rule would become, and change nothing. */
static int show_only(struct adding *adding, struct error *err)
{
	struct compiled compiled = { 0 };
	struct rule rule;
	struct conf conf;
	int ret;

	conf_read(&conf);
	ret = rule_parse(&rule, adding->n, adding->words, err);
	if (!ret && !rule.number)
		rule.number = RULE_STEP;
	if (!ret)
		ret = rule_compile(&rule, &conf, &compiled, err);
	if (!ret)
		nft_print_table(stdout, &rule, &compiled, 1);
	compiled_free(&compiled);
	rule_free(&rule);
	return ret;
}

/* Say what is wrong with the words before asking for module and privileges. */
static int check_words(struct adding *adding, struct error *err)
{
	struct rule rule;
	int ret = rule_parse(&rule, adding->n, adding->words, err);

	rule_free(&rule);
	return ret;
}

static int add(struct adding *adding, struct error *err)
{
	struct conf conf;

	conf_read(&conf);
	if (check_words(adding, err) || conf_need_module(&conf, err) ||
	    table_change(change_add, adding, err))
		return -1;
	printf("%05u\n", adding->number);
	return 0;
}

int cmd_add(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dry-run", no_argument, NULL, 'n' },
		{ "replace", no_argument, NULL, 'r' },
		{ }
	};
	struct adding adding = { 0 };
	bool dry = false;
	struct error err;
	int c;

	/* +: what follows the number is the rule's. */
	while ((c = getopt_long(argc, argv, "+nr", options, NULL)) != -1) {
		if (c == 'n')
			dry = true;
		else if (c == 'r')
			adding.replace = true;
		else
			return STATUS_USAGE;
	}
	adding.n = argc - optind;
	adding.words = argv + optind;
	return report(dry ? show_only(&adding, &err) : add(&adding, &err),
		      &err);
}

/* delete */

struct deleting {
	int n;
	unsigned long *numbers;
};

static int change_delete(struct table *table, void *data, struct error *err)
{
	const struct deleting *deleting = data;
	struct entry *entry;

	/* All or none */
	for (int i = 0; i < deleting->n; i++) {
		entry = table_find(table, deleting->numbers[i]);
		if (!entry)
			return fail(err, "rule %lu: there is none; divertctl list shows what there is",
				    deleting->numbers[i]);
		table_delete(table, entry);
	}
	return 0;
}

int cmd_delete(int argc, char **argv)
{
	struct deleting deleting = { .n = argc - 1 };
	struct error err;
	int ret;

	if (argc < 2)
		die_usage("delete: the number of a rule is missing");
	deleting.numbers = must_alloc(deleting.n * sizeof(*deleting.numbers));
	for (int i = 0; i < deleting.n; i++)
		if (!parse_number(argv[i + 1], 1, RULE_MAX,
				  &deleting.numbers[i]))
			die_usage("%s: not a rule number; it is 1 to %d",
				  argv[i + 1], RULE_MAX);
	ret = report(table_change(change_delete, &deleting, &err), &err);
	free(deleting.numbers);
	return ret;
}

/* flush */

int cmd_flush(int argc, char **argv)
{
	/* Whatever is there, also what cannot be read: no generation. */
	static const struct table none;
	struct error err;
	bool again;

	if (argc > 1)
		die_usage("%s: flush takes no argument; it removes all rules, delete single ones",
			  argv[1]);
	return report(table_write(&none, &again, &err), &err);
}

/* list */

static void list_text(const struct table *table, bool counters)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct entry *entry = &table->at[i];

		printf("%05u ", entry->rule.number);
		if (counters)
			printf("%12llu %14llu ",
			       (unsigned long long)entry->packets,
			       (unsigned long long)entry->bytes);
		puts(entry->rule.text);
	}
}

/* Rules made under other masks than there are now */
static void warn_stale(struct table *table, const struct conf *conf)
{
	struct error err;

	if (table_compile(table, conf, &err)) {
		fprintf(stderr, "divertctl: %s\n", err.text);
		return;
	}
	for (size_t i = 0; i < table->n; i++) {
		const struct entry *entry = &table->at[i];
		uint32_t mark = entry->compiled.at[0].mark;

		if (entry->mark != mark)
			fprintf(stderr, "divertctl: rule %u sets mark 0x%08x, by net.divert's masks it should be 0x%08x: add it once more\n",
				entry->rule.number, entry->mark, mark);
	}
}

/* What nft(8) loads again must be known again. */
static int check_comments(const struct table *table, struct error *err)
{
	char comment[RULE_COMMENT_SIZE];

	for (size_t i = 0; i < table->n; i++) {
		const struct rule *rule = &table->at[i].rule;

		if (!rule_comment(rule, comment, sizeof(comment)))
			return fail(err, "rule %u is too long for nft, which keeps %d bytes of its number and text: make two of it, or save the output of 'divertctl list'",
				    rule->number, RULE_COMMENT_SIZE - 1);
	}
	return 0;
}

static void list_nft(const struct table *table)
{
	struct rule *rules = must_alloc((table->n + 1) * sizeof(*rules));
	struct compiled *compiled = must_alloc((table->n + 1) *
					       sizeof(*compiled));

	for (size_t i = 0; i < table->n; i++) {
		rules[i] = table->at[i].rule;
		compiled[i] = table->at[i].compiled;
	}
	nft_print_table(stdout, rules, compiled, table->n);
	free(rules);
	free(compiled);
}

static int list(bool counters, bool nft, struct error *err)
{
	struct table table;
	struct conf conf;
	int ret = 0;

	conf_read(&conf);
	if (table_read(&table, err))
		return -1;
	if (nft)
		ret = check_comments(&table, err) ?:
		      table_compile(&table, &conf, err);
	if (!ret && nft)
		list_nft(&table);
	else if (!ret)
		list_text(&table, counters);
	if (!ret)
		warn_stale(&table, &conf);
	table_free(&table);
	return ret;
}

int cmd_list(int argc, char **argv)
{
	static const struct option options[] = {
		{ "counters", no_argument, NULL, 'a' },
		{ "nft", no_argument, NULL, 'n' },
		{ }
	};
	bool counters = false, nft = false;
	struct error err;
	int c;

	while ((c = getopt_long(argc, argv, "an", options, NULL)) != -1) {
		if (c == 'a')
			counters = true;
		else if (c == 'n')
			nft = true;
		else
			return STATUS_USAGE;
	}
	if (optind < argc)
		die_usage("%s: list takes no argument but -a and --nft",
			  argv[optind]);
	return report(list(counters, nft, &err), &err);
}
