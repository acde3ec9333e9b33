// SPDX-License-Identifier: GPL-2.0
/*
 * A command line in words. As in ipfw, a rule may come as one argument or as
 * many, braces stand for themselves, and blanks may follow a comma.
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"

static char *join(int n, char **words)
{
	size_t len = 1;
	char *line, *end;

	for (int i = 0; i < n; i++)
		len += strlen(words[i]) + 1;
	line = must_alloc(len);
	end = line;
	for (int i = 0; i < n; i++) {
		if (i)
			end = stpcpy(end, " ");
		end = stpcpy(end, words[i]);
	}
	return line;
}

static bool is_brace(char c)
{
	return c && strchr("{}()", c);
}

static size_t blanks(const char *at)
{
	size_t n = 0;

	while (isspace((unsigned char)at[n]))
		n++;
	return n;
}

/* Length of the word at @at. A comma joins what is around it. */
static size_t word_len(const char *at)
{
	size_t n = 0, gap;

	if (is_brace(*at))
		return 1;
	while (at[n] && !is_brace(at[n])) {
		gap = blanks(at + n);
		if (gap && at[n + gap] != ',' && at[n - 1] != ',')
			break;
		if (gap && (!at[n + gap] || is_brace(at[n + gap])))
			break;
		n += gap ?: 1;
	}
	return n;
}

/* Without the blanks around commas */
static char *word_copy(const char *at, size_t len)
{
	char *word = must_alloc(len + 1), *end = word;

	for (size_t i = 0; i < len; i++)
		if (!isspace((unsigned char)at[i]))
			*end++ = at[i];
	return word;
}

static void tokens_add(struct tokens *tokens, char *word)
{
	tokens->at = must_resize(tokens->at,
				 (tokens->n + 1) * sizeof(*tokens->at));
	tokens->at[tokens->n++] = word;
}

struct tokens tokens_make(int n, char **words)
{
	struct tokens tokens = { 0 };
	char *line = join(n, words);
	const char *at = line;
	size_t len;

	for (at += blanks(at); *at; at += blanks(at)) {
		/* A comment goes to the end. */
		len = strncmp(at, "//", 2) ? word_len(at) : strlen(at);
		tokens_add(&tokens, strncmp(at, "//", 2) ? word_copy(at, len) :
							   must_print("%s", at));
		at += len;
	}
	free(line);
	return tokens;
}

char *tokens_join(const struct tokens *tokens, int from)
{
	return join(tokens->n - from, tokens->at + from);
}

void tokens_free(struct tokens *tokens)
{
	for (int i = 0; i < tokens->n; i++)
		free(tokens->at[i]);
	free(tokens->at);
	*tokens = (struct tokens){ 0 };
}
