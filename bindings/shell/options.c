/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. Options may stand anywhere, before or after the verb; which of them a verb
 * takes is the verb's business. */

#include "options.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

#define HELP_COLUMN 28

const struct option_row option_rows[OPTION_COUNT] = {
	[OPTION_HELP] = {"help", 'h', 0, NULL, VALUE_ANY, "show this"},
	[OPTION_VERSION] = {"version", 0, 0, NULL, VALUE_ANY, "show the version"},
	[OPTION_CONFIG] = {"config", 'c', 0, "FILE", VALUE_FILE,
		"configuration file (default /etc/certauto/certauto.json)"},
	[OPTION_JSON] = {"json", 0, 0, NULL, VALUE_ANY,
		"print results as JSON, see certauto-status(7)"},
	[OPTION_QUIET] = {"quiet", 'q', 0, NULL, VALUE_ANY,
		"no progress; errors and warnings only"},
	[OPTION_VERBOSE] = {"verbose", 'v', 0, NULL, VALUE_ANY, "log each step in plain lines"},
	[OPTION_TIMEOUT] = {"timeout", 0, 0, "SECONDS", VALUE_ANY,
		"give up after so long (default 3600)"},
	[OPTION_DRY_RUN] = {"dry-run", 0, 0, NULL, VALUE_ANY,
		"say what would be done and change nothing"},
	[OPTION_FORCE] = {"force", 0, 0, NULL, VALUE_ANY,
		"renew what is not due; overwrite files that exist"},
	[OPTION_MUST_RENEW_BEFORE] = {"must-renew-before", 0, 0, "TIME", VALUE_ANY,
		"also what would come due before 14d, 36h, 2026-12-24 or an RFC 3339 time"},
	[OPTION_SERVER] = {"server", 0, 0, "URL", VALUE_SERVER,
		"the CA: " WORDS_SERVER " or the URL of its directory"},
	[OPTION_CA_FILE] = {"ca-file", 0, 0, "FILE", VALUE_FILE,
		"certificates (PEM) that the CA's server is verified by"},
	[OPTION_AGREE_TOS] = {"agree-tos", 0, 0, NULL, VALUE_ANY,
		"agree to the CA's terms of service"},
	[OPTION_CONTACT] = {"contact", 0, 1, "URI", VALUE_ANY,
		"how the CA reaches you, such as mailto:ops@example.org"},
	[OPTION_EAB_KID] = {"eab-kid", 0, 0, "ID", VALUE_ANY,
		"external account binding: who you are at the CA"},
	[OPTION_EAB_HMAC] = {"eab-hmac", 0, 0, "file:PATH|env:NAME|fd:N", VALUE_SECRET,
		"where its MAC key (base64url) is; never the key itself"},
	[OPTION_EAB_ALG] = {"eab-alg", 0, 0, "ALG", VALUE_MAC, "its MAC: " WORDS_MAC},
	[OPTION_ACCOUNT_KEY] = {"account-key", 0, 0, "TYPE", VALUE_KEY_TYPE,
		"of a new account key: as --key (default ecdsa-p256)"},
	[OPTION_STATE] = {"state", 0, 0, "DIR", VALUE_DIRECTORY,
		"directory for accounts, keys, certificates"},
	[OPTION_NAME] = {"name", 0, 0, "NAME", VALUE_ANY,
		"what the certificate is called (default: its first domain)"},
	[OPTION_DOMAIN] = {"domain", 'd', 1, "NAME", VALUE_ANY, "a name in the certificate"},
	[OPTION_CSR] = {"csr", 0, 0, "FILE", VALUE_FILE,
		"signing request for a key kept elsewhere; names are taken from it"},
	[OPTION_KEY] = {"key", 0, 1, "TYPE", VALUE_KEY,
		WORDS_KEY "; csr, self-signed and revoke take the file of a key"},
	[OPTION_PROFILE] = {"profile", 0, 0, "NAME", VALUE_ANY, "profile the CA must have"},
	[OPTION_PREFERRED_PROFILE] = {"preferred-profile", 0, 0, "NAME", VALUE_ANY,
		"profile, if the CA has it"},
	[OPTION_PREFERRED_CHAIN] = {"preferred-chain", 0, 0, "WHICH", VALUE_ANY,
		"issuer's common name, sha256:HEX, keyid:HEX or shortest"},
	[OPTION_CHALLENGE] = {"challenge", 0, 0, "TYPE", VALUE_CHALLENGE, WORDS_CHALLENGE},
	[OPTION_TARGET] = {"target", 0, 1, "TYPE,OPTION=VALUE,...", VALUE_TARGET,
		"where to deploy, and who answers challenges"},
	[OPTION_ONLINE] = {"online", 0, 0, NULL, VALUE_ANY, "ask the CA"},
	[OPTION_YES] = {"yes", 0, 0, NULL, VALUE_ANY, "yes, for good"},
	[OPTION_REASON] = {"reason", 0, 0, "WHY", VALUE_REASON, WORDS_REASON},
	[OPTION_BY_KEY] = {"by-key", 0, 0, NULL, VALUE_ANY,
		"sign with the certificate's own key, not the account's"},
	[OPTION_CERT] = {"cert", 0, 0, "FILE", VALUE_FILE, "the certificate (PEM)"},
	[OPTION_ACCOUNT] = {"account", 0, 0, "NAME", VALUE_ACCOUNT, "account of the configuration"},
	[OPTION_CN] = {"cn", 0, 0, "NAME", VALUE_ANY,
		"common name; the certificate's name unless --san is given"},
	[OPTION_SAN] = {"san", 0, 1, "NAME", VALUE_ANY,
		"names: DNS:host.example,IP:192.0.2.1 or just the name"},
	[OPTION_SUBJECT] = {"subject", 0, 0, "DN", VALUE_ANY,
		"subject, such as \"O=Example, C=FR\""},
	[OPTION_DAYS] = {"days", 0, 0, "N", VALUE_ANY, "days until it expires (default 365)"},
	[OPTION_OUT] = {"out", 0, 0, "FILE", VALUE_FILE,
		"write it there instead of to standard output"},
	[OPTION_KEY_OUT] = {"key-out", 0, 0, "FILE", VALUE_FILE,
		"write the new key there, mode 0600"},
	[OPTION_VERIFY] = {"verify", 0, 0, NULL, VALUE_ANY, "print what is in the certificates"},
	[OPTION_ROOT] = {"root", 0, 0, NULL, VALUE_ANY,
		"the root of the chain alone, which clients are to trust"},
	[OPTION_OPS_MANAGER] = {"ops-manager", 0, 0, NULL, VALUE_ANY,
		"the root as JSON for Ops Manager: its field NSX Manager CA Cert"},
	[OPTION_ENV_FILE] = {"env-file", 0, 0, "FILE", VALUE_FILE,
		"NAME=VALUE lines, taken into the environment where they are not set there"},
};

void strings_add(struct strings *strings, const char *item)
{
	strings->items = memory_grow(strings->items, strings->n + 1, sizeof(*strings->items));
	strings->items[strings->n++] = item;
}

void strings_drop(struct strings *strings, size_t n)
{
	strings->n -= n;
	memmove(strings->items, strings->items + n, strings->n * sizeof(*strings->items));
}

int option_find(const char *name, size_t len)
{
	int id;

	for (id = 0; id < OPTION_COUNT; id++)
		if (strlen(option_rows[id].name) == len &&
		    memcmp(option_rows[id].name, name, len) == 0)
			return id;
	return -1;
}

int option_find_letter(char letter)
{
	int id;

	for (id = 0; id < OPTION_COUNT; id++)
		if (option_rows[id].letter == letter)
			return id;
	return -1;
}

static int keep(struct options *options, int id, const char *value, struct text *why)
{
	if (options->given[id].n > 0 && option_rows[id].argument != NULL &&
	    !option_rows[id].repeats) {
		text_printf(why, "--%s is given twice", option_rows[id].name);
		return -1;
	}
	strings_add(&options->given[id], value);
	return 0;
}

/* "--name", "--name=value", "--name value". */
static int parse_long(struct options *options, char ***next, struct text *why)
{
	const char *word = *(*next)++ + 2, *value = strchr(word, '=');
	size_t len = value != NULL ? (size_t)(value - word) : strlen(word);
	int id = option_find(word, len);

	if (id < 0) {
		text_printf(why, "there is no option --%.*s", (int)len, word);
		return -1;
	}
	if (option_rows[id].argument == NULL) {
		if (value != NULL) {
			text_printf(why, "--%s takes no value", option_rows[id].name);
			return -1;
		}
		return keep(options, id, "", why);
	}
	if (value == NULL && **next == NULL) {
		text_printf(why, "--%s needs a value: --%s %s", option_rows[id].name,
			option_rows[id].name, option_rows[id].argument);
		return -1;
	}
	return keep(options, id, value != NULL ? value + 1 : *(*next)++, why);
}

/* "-v", "-vq", "-c value", "-cvalue". */
static int parse_letters(struct options *options, char ***next, struct text *why)
{
	const char *letter = *(*next)++ + 1;
	int id;

	for (; *letter != '\0'; letter++) {
		id = option_find_letter(*letter);
		if (id < 0) {
			text_printf(why, "there is no option -%c", *letter);
			return -1;
		}
		if (option_rows[id].argument == NULL) {
			if (keep(options, id, "", why) < 0)
				return -1;
			continue;
		}
		if (letter[1] != '\0')
			return keep(options, id, letter + 1, why);
		if (**next != NULL)
			return keep(options, id, *(*next)++, why);
		text_printf(why, "-%c needs a value: -%c %s", *letter, *letter,
			option_rows[id].argument);
		return -1;
	}
	return 0;
}

/* What others give their hooks may begin with a dash: a token of ACME does, one time in 64. */
static int is_for_hook(const struct strings *operands)
{
	return operands->n >= 3 && strcmp(operands->items[0], "hook") == 0;
}

int options_parse(struct options *options, int argc, char **argv, struct text *why)
{
	char **next = argv + (argc > 0);
	int only_operands = 0, rc = 0;

	while (*next != NULL && rc == 0) {
		if (only_operands || (*next)[0] != '-' || (*next)[1] == '\0') {
			strings_add(&options->operands, *next++);
			only_operands |= is_for_hook(&options->operands);
		} else if (strcmp(*next, "--") == 0) {
			only_operands = 1;
			next++;
		} else if ((*next)[1] == '-') {
			rc = parse_long(options, &next, why);
		} else {
			rc = parse_letters(options, &next, why);
		}
	}
	return rc;
}

void options_free(struct options *options)
{
	int id;

	for (id = 0; id < OPTION_COUNT; id++)
		free(options->given[id].items);
	free(options->operands.items);
	memset(options, 0, sizeof(*options));
}

int option_given(const struct options *options, enum option_id id)
{
	return options->given[id].n > 0;
}

const char *option_value(const struct options *options, enum option_id id)
{
	return options->given[id].n > 0 ? options->given[id].items[0] : NULL;
}

option_set options_given(const struct options *options)
{
	option_set bits = 0;
	int id;

	for (id = 0; id < OPTION_COUNT; id++)
		if (options->given[id].n > 0)
			bits |= OPTION_BIT(id);
	return bits;
}

/* The help beside its name, in lines that end where those of paragraphs do. */
void option_describe(struct text *out, enum option_id id)
{
	const struct option_row *row = &option_rows[id];
	struct text left = {0}, right = {0}, lines = {0};

	if (row->letter != 0)
		text_printf(&left, "  -%c, --%s", row->letter, row->name);
	else
		text_printf(&left, "      --%s", row->name);
	if (row->argument != NULL)
		text_printf(&left, " %s", row->argument);
	text_pad(out, text_of(&left), HELP_COLUMN);
	if (left.len >= HELP_COLUMN)
		text_printf(out, "\n%*s", HELP_COLUMN, "");
	text_printf(&right, "%s%s", row->help, row->repeats ? " (may be repeated)" : "");
	text_add_wrapped(&lines, text_of(&right), HELP_COLUMN, HELP_WIDTH);
	text_add(out, text_of(&lines) + HELP_COLUMN);
	text_free(&left);
	text_free(&right);
	text_free(&lines);
}
