// SPDX-License-Identifier: GPL-2.0
/* divertctl mark: marks for rules that are written in nft by hand. */

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "divertctl.h"

/* nft takes no expressions of constants, so all are given as numbers. */
static void define_masks(FILE *out, const struct conf *conf)
{
	fprintf(out, "# marks of divert rules, by net.divert's masks\n");
	fprintf(out, "define divert_ours = 0x%08x\n", conf_ours(conf));
	fprintf(out, "define divert_keep = 0x%08x\n", ~conf_ours(conf));
	fprintf(out, "define divert_port_mask = 0x%08x\n", conf->port_mask);
	fprintf(out, "define divert_cookie_mask = 0x%08x\n", conf->cookie_mask);
	fprintf(out, "# of packets that come from a divert socket: meta mark & $divert_port_mask == $divert_diverted\n");
	fprintf(out, "define divert_diverted = 0x%08x\n", conf->port_mask);
}

static bool is_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	return len && !isdigit((unsigned char)*name);
}

/* NAME=PORT:COOKIE */
static int define_mark(FILE *out, const struct conf *conf, const char *word,
		       struct error *err)
{
	size_t len = strcspn(word, "=");
	unsigned long port, cookie;
	char *numbers, *colon;
	uint32_t mark;
	bool good;

	numbers = must_print("%s", word + len + (word[len] == '='));
	colon = strchr(numbers, ':');
	if (colon)
		*colon = 0;
	good = word[len] && is_name(word, len) && colon &&
	       parse_number(numbers, 1, 65535, &port) &&
	       parse_number(colon + 1, 1, 65535, &cookie);
	free(numbers);
	if (!good)
		return fail(err, "%s: a mark to define is NAME=PORT:COOKIE, as in web=8668:100",
			    word);
	if (conf_mark(conf, port, cookie, false, &mark, err))
		return -1;
	fprintf(out, "# port %lu, rule %lu\n", port, cookie);
	fprintf(out, "define %.*s = 0x%08x\n", (int)len, word, mark);
	fprintf(out, "define %.*s_before = 0x%08x\n", (int)len, word,
		conf->port_mask | field_put(conf->cookie_mask, cookie));
	return 0;
}

/* All, or nothing. */
static int define_all(const struct conf *conf, int n, char **words,
		      struct error *err)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int ret = 0;

	if (!out)
		die("out of memory");
	define_masks(out, conf);
	for (int i = 0; i < n && !ret; i++)
		ret = define_mark(out, conf, words[i], err);
	if (fclose(out))
		die("out of memory");
	if (!ret)
		fputs(text, stdout);
	free(text);
	return ret;
}

static int print_mark(const struct conf *conf, const char *port_word,
		      const char *cookie_word, struct error *err)
{
	unsigned long cookie;
	uint32_t mark;

	if (!parse_number(cookie_word, 1, 65535, &cookie))
		die_usage("%s: not a cookie; it is a number from 1 to 65535",
			  cookie_word);
	if (conf_mark(conf, parse_port(port_word), cookie, false, &mark, err))
		return -1;
	printf("0x%08x\n", mark);
	return 0;
}

int cmd_mark(int argc, char **argv)
{
	static const struct option options[] = {
		{ "define", no_argument, NULL, 'd' },
		{ }
	};
	bool define = false;
	struct error err;
	struct conf conf;
	int c, ret;

	while ((c = getopt_long(argc, argv, "d", options, NULL)) != -1) {
		if (c != 'd')
			return STATUS_USAGE;
		define = true;
	}
	if (!define && argc - optind != 2)
		die_usage("mark takes a port and a cookie, as in \"mark 8668 100\"");
	conf_read(&conf);
	if (!conf.loaded)
		fprintf(stderr, "divertctl: the divert module is not loaded: these are the marks of its defaults\n");
	if (define)
		ret = define_all(&conf, argc - optind, argv + optind, &err);
	else
		ret = print_mark(&conf, argv[optind], argv[optind + 1], &err);
	if (ret)
		die("%s", err.text);
	return 0;
}
