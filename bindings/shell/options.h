/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_SHELL_OPTIONS_H
#define CERTAUTO_SHELL_OPTIONS_H

/* The command line, taken apart: options by number, the rest as operands. */

#include <stddef.h>
#include <stdint.h>

#define HELP_WIDTH 90 /* columns of all help */

enum option_id {
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_CONFIG,
	OPTION_JSON,
	OPTION_QUIET,
	OPTION_VERBOSE,
	OPTION_TIMEOUT,
	OPTION_DRY_RUN,
	OPTION_FORCE,
	OPTION_MUST_RENEW_BEFORE,
	/* instead of a configuration file */
	OPTION_SERVER,
	OPTION_CA_FILE,
	OPTION_AGREE_TOS,
	OPTION_CONTACT,
	OPTION_EAB_KID,
	OPTION_EAB_HMAC,
	OPTION_EAB_ALG,
	OPTION_ACCOUNT_KEY,
	OPTION_STATE,
	OPTION_NAME,
	OPTION_DOMAIN,
	OPTION_CSR,
	OPTION_KEY,
	OPTION_PROFILE,
	OPTION_PREFERRED_PROFILE,
	OPTION_PREFERRED_CHAIN,
	OPTION_CHALLENGE,
	OPTION_TARGET,
	/* of account show, account deactivate, revoke */
	OPTION_ONLINE,
	OPTION_YES,
	OPTION_REASON,
	OPTION_BY_KEY,
	OPTION_CERT,
	OPTION_ACCOUNT,
	/* of csr and self-signed */
	OPTION_CN,
	OPTION_SAN,
	OPTION_SUBJECT,
	OPTION_DAYS,
	OPTION_OUT,
	OPTION_KEY_OUT,
	OPTION_VERIFY,
	/* of export */
	OPTION_ROOT,
	OPTION_OPS_MANAGER,
	/* of hook */
	OPTION_ENV_FILE,
	OPTION_COUNT
};

/* A set of options, a bit for each. */
typedef uint64_t option_set;

#define OPTION_BIT(id) ((option_set)1 << (id))
#define OPTIONS_COMMON \
	(OPTION_BIT(OPTION_HELP) | OPTION_BIT(OPTION_VERSION) | OPTION_BIT(OPTION_JSON) | \
		OPTION_BIT(OPTION_QUIET) | OPTION_BIT(OPTION_VERBOSE))
#define OPTIONS_NETWORK (OPTION_BIT(OPTION_CONFIG) | OPTION_BIT(OPTION_TIMEOUT))
#define OPTIONS_ACCOUNT \
	(OPTION_BIT(OPTION_SERVER) | OPTION_BIT(OPTION_CA_FILE) | OPTION_BIT(OPTION_AGREE_TOS) | \
		OPTION_BIT(OPTION_CONTACT) | OPTION_BIT(OPTION_EAB_KID) | \
		OPTION_BIT(OPTION_EAB_HMAC) | OPTION_BIT(OPTION_EAB_ALG) | \
		OPTION_BIT(OPTION_ACCOUNT_KEY) | OPTION_BIT(OPTION_STATE))
#define OPTIONS_CERTIFICATE \
	(OPTIONS_ACCOUNT | OPTION_BIT(OPTION_NAME) | OPTION_BIT(OPTION_DOMAIN) | \
		OPTION_BIT(OPTION_CSR) | OPTION_BIT(OPTION_KEY) | OPTION_BIT(OPTION_PROFILE) | \
		OPTION_BIT(OPTION_PREFERRED_PROFILE) | OPTION_BIT(OPTION_PREFERRED_CHAIN) | \
		OPTION_BIT(OPTION_CHALLENGE) | OPTION_BIT(OPTION_TARGET))

/* What can be said of values beforehand, for completion. */
enum value_kind {
	VALUE_ANY, /* nothing */
	VALUE_FILE,
	VALUE_DIRECTORY,
	VALUE_SERVER,
	VALUE_MAC,
	VALUE_KEY_TYPE,
	VALUE_KEY, /* type or file, as the verb wants it */
	VALUE_CHALLENGE,
	VALUE_REASON,
	VALUE_SHELL,
	VALUE_SECRET, /* where one is */
	VALUE_TARGET, /* TYPE,OPTION=VALUE,... or a name, as the verb wants it */
	VALUE_TARGET_TYPE,
	VALUE_TARGET_NAME,
	VALUE_CERTIFICATE,
	VALUE_ACCOUNT,
	VALUE_VERB,
	VALUE_COUNT
};

/* Words of the kinds that have them, as --help tells them: the first one is the default. */
#define WORDS_SERVER "letsencrypt, letsencrypt-staging"
#define WORDS_MAC "HS256 (default), HS384, HS512"
#define WORDS_KEY "ecdsa-p256 (default), ecdsa-p384, rsa-2048, rsa-3072, rsa-4096"
#define WORDS_CHALLENGE \
	"http-01 (default), dns-01, dns-account-01, dns-persist-01, tls-alpn-01"
#define WORDS_REASON \
	"unspecified (default), key-compromise, affiliation-changed, superseded, " \
	"cessation-of-operation"
#define WORDS_SHELL "bash, zsh"

struct option_row {
	const char *name;      /* without the dashes */
	char letter;           /* or 0 */
	char repeats;          /* may be given several times */
	const char *argument;  /* what --help calls its value; NULL = it has none */
	enum value_kind value; /* what that is */
	const char *help;
};

extern const struct option_row option_rows[OPTION_COUNT];

struct strings {
	const char **items; /* the strings are borrowed */
	size_t n;
};

struct options {
	struct strings given[OPTION_COUNT]; /* values; "" for an option without one */
	struct strings operands;
};

struct text;

void strings_add(struct strings *strings, const char *item);
void strings_drop(struct strings *strings, size_t n); /* the first n */
/* Takes argv apart, whose strings stay borrowed; all that comes behind "hook", whose and what for
 * is an operand. 0, or -1 and what is wrong with it in why. */
int options_parse(struct options *options, int argc, char **argv, struct text *why);
void options_free(struct options *options);

/* The option of that name (len bytes) or letter; -1 = there is none. */
int option_find(const char *name, size_t len);
int option_find_letter(char letter);
int option_given(const struct options *options, enum option_id id);
const char *option_value(const struct options *options, enum option_id id); /* NULL = not given */
option_set options_given(const struct options *options);                      /* as OPTION_BITs */
/* One line for --help: "  -c, --config FILE   read ...". */
void option_describe(struct text *out, enum option_id id);

#endif
