/* SPDX-License-Identifier: Apache-2.0 */
/* The form without a configuration file: the options are written down as the configuration they
 * stand for, and go the way of one that was read from a file. Secrets never come this way: it is
 * only told where they are. */

#include "adhoc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "input.h"

#define CSR_MAX 65536
#define EXAMPLE_TERMS " --agree-tos --contact mailto:ops@example.org"
#define EXAMPLE_CERTIFICATE \
	" --domain shop.example.org --target " \
	"haproxy,socket=/run/haproxy/admin.sock,crt=/etc/haproxy/certs/shop.pem," \
	"map=/etc/haproxy/acme.map"

struct adhoc {
	struct shell *shell;
	struct text targets;   /* members of "targets" */
	struct text deploy;    /* elements of "deploy" */
	struct text challenge; /* name of the target that answers; empty = none yet */
	struct text name;      /* of the certificate */
};

static void adhoc_free(struct adhoc *adhoc)
{
	text_free(&adhoc->targets);
	text_free(&adhoc->deploy);
	text_free(&adhoc->challenge);
	text_free(&adhoc->name);
}

static int parse(struct shell *shell, const struct text *config)
{
	static const char place[] = "config:";
	int rc = certauto_fleet_parse(
		&shell->fleet, shell->cx, (const unsigned char *)text_of(config), config->len);
	const char *message;

	if (rc == 0)
		return STATUS_DONE;
	/* Nobody has seen the lines of this configuration. */
	message = certauto_error_message(certauto_context_error(shell->cx));
	if (message != NULL && strncmp(message, place, strlen(place)) == 0) {
		message += strlen(place);
		message += strspn(message, "0123456789");
		message += strspn(message, ": ");
	}
	return say_config_failure(shell, "the options", message);
}

/* ---- secrets ---- */

/* Written down as the object that points to it. -1: it is not one of "file:PATH", "env:NAME",
 * "fd:N", but maybe the secret itself, which nobody must repeat. */
static int add_secret(struct text *out, const char *value)
{
	static const char *const kinds[] = {"file", "env", "fd"};
	size_t i, len;
	int is_number;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		len = strlen(kinds[i]);
		if (strncmp(value, kinds[i], len) != 0 || value[len] != ':' ||
		    value[len + 1] == '\0')
			continue;
		value += len + 1;
		is_number = strcmp(kinds[i], "fd") == 0;
		if (is_number && value[strspn(value, "0123456789")] != '\0')
			break;
		text_printf(out, "{\"%s\": ", kinds[i]);
		if (is_number)
			text_add(out, value);
		else
			text_add_json(out, value);
		text_add(out, "}");
		return 0;
	}
	return -1;
}

/* ---- one --target ---- */

#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static size_t name_length(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
}

/* Where a value ends: at a comma before a "name=", or at the end. So lists keep their commas. */
static size_t value_length(const char *value)
{
	const char *comma;
	size_t len;

	for (comma = strchr(value, ','); comma != NULL; comma = strchr(comma + 1, ',')) {
		len = name_length(comma + 1);
		if (len > 0 && comma[1 + len] == '=')
			return (size_t)(comma - value);
	}
	return strlen(value);
}

static int find_option(const certauto_target *target, const char *name)
{
	size_t i;

	for (i = 0; i < certauto_target_n_options(target); i++)
		if (strcmp(certauto_target_option_name(target, i), name) == 0)
			return (int)i;
	return -1;
}

static int say_unknown_option(
	const struct shell *shell, const certauto_target *target, const char *name)
{
	struct text list = {0};
	size_t i;
	int status;

	for (i = 0; i < certauto_target_n_options(target); i++)
		text_printf(
			&list, "%s%s", i > 0 ? ", " : "", certauto_target_option_name(target, i));
	status = say_usage(shell, "--target %s: there is no option %s; there are: %s",
		certauto_target_type(target), name, text_of(&list));
	text_free(&list);
	return status;
}

/* A list as an array; a lone string would count as one element, commas and all. */
static void add_list(struct text *out, const char *value)
{
	size_t len;

	text_add(out, "[");
	for (;;) {
		char *item;

		len = strcspn(value, ",");
		item = memory_copy(value, len);
		text_add_json(out, item);
		free(item);
		if (value[len] == '\0')
			break;
		text_add(out, ", ");
		value += len + 1;
	}
	text_add(out, "]");
}

/* What a hook is told is its DNS service's password, often: with a value in it, it is one. */
static int is_telling(const certauto_target *target, const char *name, const char *value)
{
	return strcmp(certauto_target_type(target), "hook") == 0 &&
		strcmp(name, "environment") == 0 && strchr(value, '=') != NULL;
}

/* Writes one option down. The target is told first, so that a wrong value is refused in the command
 * line's terms; an argv has been found to be a JSON array by that. */
static int add_option(
	struct adhoc *adhoc, certauto_target *target, const char *name, const char *value)
{
	int i = find_option(target, name), flags;
	const char *type;

	if (i < 0)
		return say_unknown_option(adhoc->shell, target, name);
	flags = certauto_target_option_flags(target, (size_t)i);
	type = certauto_target_option_type(target, (size_t)i);
	text_add(&adhoc->targets, ", ");
	text_add_json(&adhoc->targets, name);
	text_add(&adhoc->targets, ": ");
	if ((flags & CERTAUTO_OPTION_SENSITIVE) != 0) {
		if (add_secret(&adhoc->targets, value) == 0)
			return STATUS_DONE;
		return say_usage(adhoc->shell,
			"--target %s: %s is secret, and the command line is not: use %s=file:PATH, "
			"%s=env:NAME or %s=fd:N",
			certauto_target_type(target), name, name, name, name);
	}
	if (is_telling(target, name, value))
		return say_usage(adhoc->shell,
			"--target hook: what environment has for a value may be secret, and the "
			"command line is not: set the variable where certauto runs, and write its "
			"name alone, environment=NAME");
	if (certauto_target_set(target, name, value) < 0)
		return say_config_failure(adhoc->shell, "--target", NULL);
	if (type != NULL && strcmp(type, "list") == 0)
		add_list(&adhoc->targets, value);
	else if (type != NULL && strcmp(type, "argv") == 0)
		text_add(&adhoc->targets, value);
	else
		text_add_json(&adhoc->targets, value);
	return STATUS_DONE;
}

static int add_options(struct adhoc *adhoc, certauto_target *target, const char *rest)
{
	int status = STATUS_DONE;

	while (*rest != '\0' && status == STATUS_DONE) {
		size_t name_len = name_length(++rest), value_len;
		char *name, *value;

		/* What follows is not repeated: there may be a secret in it. */
		if (name_len == 0 || rest[name_len] != '=')
			return say_usage(adhoc->shell, "--target %s: \"%.*s\" is not OPTION=VALUE",
				certauto_target_type(target), (int)strspn(rest, WORD), rest);
		value_len = value_length(rest + name_len + 1);
		name = memory_copy(rest, name_len);
		value = memory_copy(rest + name_len + 1, value_len);
		status = add_option(adhoc, target, name, value);
		free(name);
		free(value);
		rest += name_len + 1 + value_len;
	}
	return status;
}

/* Of those that live in the DNS one capability serves all. */
static int challenge_cap(const char *challenge)
{
	if (strncmp(challenge, "dns-", 4) == 0)
		return CERTAUTO_TARGET_DNS01;
	return strcmp(challenge, "tls-alpn-01") == 0 ? CERTAUTO_TARGET_TLSALPN01
						     : CERTAUTO_TARGET_HTTP01;
}

static const char *challenge_type(const struct shell *shell)
{
	const char *type = option_value(&shell->options, OPTION_CHALLENGE);

	return type != NULL ? type : "http-01";
}

/* Its record may have been put into the DNS by somebody, for good. */
static int needs_target(const struct shell *shell)
{
	return strcmp(challenge_type(shell), "dns-persist-01") != 0;
}

/* What the target is for: every one that can takes the certificate, the first that can answers. */
static void use_target(struct adhoc *adhoc, const certauto_target *target, const char *name)
{
	int caps = certauto_target_caps(target);

	if ((caps & CERTAUTO_TARGET_DEPLOY) != 0) {
		text_add(&adhoc->deploy, adhoc->deploy.len > 0 ? ", " : "");
		text_add_json(&adhoc->deploy, name);
	}
	if ((caps & challenge_cap(challenge_type(adhoc->shell))) != 0 && adhoc->challenge.len == 0)
		text_add(&adhoc->challenge, name);
}

/* "TYPE,option=value,...": the target is called by its type, a second one of it TYPE-2. */
static int add_target(struct adhoc *adhoc, const char *text, size_t number)
{
	struct shell *shell = adhoc->shell;
	certauto_target *target = NULL;
	size_t len = strcspn(text, ",");
	struct text name = {0};
	char *type = memory_copy(text, len);
	int status;

	if (certauto_target_new(&target, shell->cx, type) < 0) {
		status = say_config_failure(shell, "--target", NULL);
		goto out;
	}
	text_add(&name, type);
	if (number > 1)
		text_printf(&name, "-%zu", number);
	text_add(&adhoc->targets, adhoc->targets.len > 0 ? ",\n" : "");
	text_add_json(&adhoc->targets, text_of(&name));
	text_add(&adhoc->targets, ": {\"type\": ");
	text_add_json(&adhoc->targets, type);
	status = add_options(adhoc, target, text + len);
	text_add(&adhoc->targets, "}");
	if (status == STATUS_DONE)
		use_target(adhoc, target, text_of(&name));
out:
	certauto_target_free(target);
	text_free(&name);
	free(type);
	return status;
}

static int is_type(const struct shell *shell, const char *text)
{
	size_t i, len = strcspn(text, ",");
	const char *type;

	for (i = 0; (type = certauto_target_type_name(shell->cx, i)) != NULL; i++)
		if (strlen(type) == len && strncmp(type, text, len) == 0)
			return 1;
	return 0;
}

/* Of a configuration that has nothing but this target in it. */
static int open_type(struct shell *shell, const char *text, const char *type, certauto_target **out)
{
	struct adhoc adhoc = {.shell = shell};
	struct text config = {0};
	int rc, status = add_target(&adhoc, text, 1);

	text_printf(&config, "{\"targets\": {%s}}\n", text_of(&adhoc.targets));
	if (status == STATUS_DONE)
		status = parse(shell, &config);
	if (status == STATUS_DONE && (rc = certauto_fleet_dup_target(out, shell->fleet, type)) < 0)
		status = say_failure(shell, rc);
	adhoc_free(&adhoc);
	text_free(&config);
	return status;
}

/* Nothing but what is told of it. */
static int open_bare(struct shell *shell, const char *text, const char *type, certauto_target **out)
{
	struct adhoc adhoc = {.shell = shell};
	int status;

	if (certauto_target_new(out, shell->cx, type) < 0)
		return say_config_failure(shell, "--target", NULL);
	if ((status = add_options(&adhoc, *out, text + strlen(type))) != STATUS_DONE) {
		certauto_target_free(*out);
		*out = NULL;
	}
	adhoc_free(&adhoc);
	return status;
}

static int say_no_target(const struct shell *shell, const char *name)
{
	struct text list = {0};
	size_t i;
	int status;

	for (i = 0; i < certauto_fleet_n_targets(shell->fleet); i++)
		text_printf(
			&list, "%s%s", i > 0 ? ", " : "", certauto_fleet_target(shell->fleet, i));
	status = say_usage(shell, "there is no target %s in the configuration; there are: %s", name,
		list.len > 0 ? text_of(&list) : "none");
	text_free(&list);
	return status;
}

/* "url=...,user=...,": what a target of that type is not one without. */
static void add_required(struct text *out, const struct shell *shell, const char *type)
{
	certauto_target *target = NULL;
	size_t i;

	if (certauto_target_new(&target, shell->cx, type) < 0)
		return;
	for (i = 0; i < certauto_target_n_options(target); i++)
		if ((certauto_target_option_flags(target, i) & CERTAUTO_OPTION_REQUIRED) != 0)
			text_printf(out, "%s=...,", certauto_target_option_name(target, i));
	certauto_target_free(target);
}

/* A lone word is the name of a target in the configuration. There is none; what may be meant? */
static int say_lone_word(const struct shell *shell, const char *word)
{
	struct text list = {0};
	const char *type;
	size_t i;
	int status;

	if (is_type(shell, word)) {
		add_required(&list, shell, word);
		status = say_usage(shell,
			"%s is a type of target, and a type needs its options: %s,%s...; certauto "
			"target options %s lists them",
			word, word, text_of(&list), word);
	} else {
		for (i = 0; (type = certauto_target_type_name(shell->cx, i)) != NULL; i++)
			text_printf(&list, "%s%s", i > 0 ? ", " : "", type);
		status = say_usage(shell,
			"there is no target type %s; there are: %s. Nor is there a configuration "
			"with a target of that name: %s, or another file with -c",
			word, text_of(&list), CONFIG_FILE);
	}
	text_free(&list);
	return status;
}

int adhoc_named(struct shell *shell, const char *name, certauto_target **out)
{
	int rc, status = shell_open_file(shell);

	if (status != STATUS_DONE)
		return status;
	rc = certauto_fleet_dup_target(out, shell->fleet, name);
	if (rc == CERTAUTO_ENOTFOUND)
		return say_no_target(shell, name);
	return rc == 0 ? STATUS_DONE : say_failure(shell, rc);
}

int adhoc_target(struct shell *shell, const char *text, int bare, certauto_target **out)
{
	char *type = memory_copy(text, strcspn(text, ","));
	int status;

	/* What has options is a type, be it one that is not known; what has none is a name, even if
	 * there is a type of that name, as none that works can do without. */
	if (strchr(text, ',') == NULL && !(bare && is_type(shell, text)))
		status = shell_has_file(shell) ? adhoc_named(shell, text, out)
					       : say_lone_word(shell, text);
	else
		status = (bare ? open_bare : open_type)(shell, text, type, out);
	free(type);
	return status;
}

static int use_store(struct shell *shell)
{
	certauto_store *store = NULL;
	int rc = certauto_fleet_dup_store(&store, shell->fleet);

	if (rc == 0)
		rc = certauto_context_use_store(shell->cx, store);
	certauto_store_free(store);
	return rc == 0 ? STATUS_DONE : say_failure(shell, rc);
}

int adhoc_with_store(struct shell *shell, const char *text, int is_first, certauto_target **out)
{
	int status = adhoc_target(shell, text, 0, out);

	if (status == STATUS_DONE && is_first && strchr(text, ',') == NULL &&
	    (status = use_store(shell)) != STATUS_DONE)
		certauto_target_free(*out);
	/* The next one brings its own. */
	certauto_fleet_free(shell->fleet);
	shell->fleet = NULL;
	return status;
}

static int add_targets(struct adhoc *adhoc)
{
	const struct strings *given = &adhoc->shell->options.given[OPTION_TARGET];
	size_t i, j, number;
	int status = STATUS_DONE;

	for (i = 0; i < given->n && status == STATUS_DONE; i++) {
		number = 1;
		for (j = 0; j < i; j++)
			number += strcspn(given->items[j], ",") == strcspn(given->items[i], ",") &&
				strncmp(given->items[j], given->items[i],
					strcspn(given->items[i], ",")) == 0;
		status = add_target(adhoc, given->items[i], number);
	}
	if (status == STATUS_DONE && given->n > 0 && adhoc->challenge.len == 0 &&
	    needs_target(adhoc->shell))
		return say_usage(adhoc->shell, "none of the targets can answer %s challenges",
			challenge_type(adhoc->shell));
	return status;
}

/* ---- the configuration ---- */

/* Relative to where we are, as on every command line; a configuration knows absolute paths only. */
static void add_path(struct text *out, const char *path)
{
	struct text whole = {0};
	char *here = path[0] != '/' ? getcwd(NULL, 0) : NULL;

	if (here != NULL)
		text_printf(&whole, "%s/", here);
	text_add(&whole, path);
	text_add_json(out, text_of(&whole));
	text_free(&whole);
	free(here);
}

static void add_strings(struct text *out, const struct strings *strings)
{
	size_t i;

	text_add(out, "[");
	for (i = 0; i < strings->n; i++) {
		text_add(out, i > 0 ? ", " : "");
		text_add_json(out, strings->items[i]);
	}
	text_add(out, "]");
}

/* A member whose value is the option's, if it is given. */
static void add_option_text(
	struct text *out, const char *member, const struct options *options, enum option_id id)
{
	if (!option_given(options, id))
		return;
	text_printf(out, ", \"%s\": ", member);
	text_add_json(out, option_value(options, id));
}

/* External account binding. 0 or an exit status, said. */
static int add_binding(struct text *out, const struct shell *shell)
{
	const struct options *options = &shell->options;
	const char *kid = option_value(options, OPTION_EAB_KID),
		   *hmac = option_value(options, OPTION_EAB_HMAC);

	if (kid == NULL && hmac == NULL && !option_given(options, OPTION_EAB_ALG))
		return STATUS_DONE;
	if (kid == NULL || hmac == NULL)
		return say_usage(shell, "--eab-kid ID and --eab-hmac file:PATH go together");
	text_add(out, ", \"eab\": {\"kid\": ");
	text_add_json(out, kid);
	text_add(out, ", \"hmac\": ");
	if (add_secret(out, hmac) < 0)
		return say_usage(shell,
			"--eab-hmac is secret, and the command line is not: use file:PATH, "
			"env:NAME or fd:N");
	add_option_text(out, "alg", options, OPTION_EAB_ALG);
	text_add(out, "}");
	return STATUS_DONE;
}

static int add_account(struct text *out, const struct shell *shell)
{
	const struct options *options = &shell->options;
	const char *ca_file = option_value(options, OPTION_CA_FILE);
	int status;

	text_add(out, "\"accounts\": {\"" ADHOC_ACCOUNT "\": {\"server\": ");
	text_add_json(out, option_value(options, OPTION_SERVER));
	text_printf(out, ", \"agree_tos\": %s, \"contact\": ",
		option_given(options, OPTION_AGREE_TOS) ? "true" : "false");
	add_strings(out, &options->given[OPTION_CONTACT]);
	if (ca_file != NULL) {
		text_add(out, ", \"ca_file\": ");
		add_path(out, ca_file);
	}
	add_option_text(out, "key", options, OPTION_ACCOUNT_KEY);
	status = add_binding(out, shell);
	text_add(out, "}},\n");
	return status;
}

/* The first name in the request. 0 or an exit status, said. */
static int name_of_request(struct adhoc *adhoc, const char *path)
{
	struct shell *shell = adhoc->shell;
	struct text data = {0}, where = {0};
	certauto_csr *csr = NULL;
	int status = input_read(shell, &data, "csr", path, CSR_MAX);

	text_printf(&where, "--csr %s", path);
	if (status == STATUS_DONE && certauto_csr_parse(&csr, shell->cx,
			(const unsigned char *)text_of(&data), data.len) < 0)
		status = say_config_failure(shell, text_of(&where), NULL);
	else if (status == STATUS_DONE && certauto_csr_n_names(csr) == 0)
		status = say_usage(shell, "%s has no names in its subjectAltName",
			text_of(&where));
	else if (status == STATUS_DONE)
		adhoc_add_name(&adhoc->name, certauto_csr_name(csr, 0));
	certauto_csr_free(csr);
	text_free(&data);
	text_free(&where);
	return status;
}

void adhoc_add_name(struct text *out, const char *first)
{
	char *copy = memory_copy(first, strlen(first)), *at;

	for (at = copy; (at = strchr(at, ':')) != NULL;)
		*at = '-';
	text_printf(out, "%s%s", copy[0] == '*' ? "_wildcard" : "", copy + (copy[0] == '*'));
	free(copy);
}

static int find_certificate_name(struct adhoc *adhoc)
{
	const struct options *options = &adhoc->shell->options;
	const char *name = option_value(options, OPTION_NAME),
		   *domain = option_value(options, OPTION_DOMAIN),
		   *csr = option_value(options, OPTION_CSR);

	if (name == NULL && domain == NULL && csr != NULL)
		return name_of_request(adhoc, csr);
	if (name != NULL)
		text_add(&adhoc->name, name);
	else if (domain != NULL)
		adhoc_add_name(&adhoc->name, domain);
	return STATUS_DONE;
}

/* --profile must be there, --preferred-profile need not. */
static int add_profile(struct text *out, const struct shell *shell)
{
	const char *profile = option_value(&shell->options, OPTION_PROFILE),
		   *preferred = option_value(&shell->options, OPTION_PREFERRED_PROFILE);

	if (profile != NULL && preferred != NULL)
		return say_usage(shell, "--profile and --preferred-profile exclude each other");
	add_option_text(out, "profile", &shell->options, OPTION_PROFILE);
	if (preferred != NULL) {
		text_add(out, ", \"profile\": {\"name\": ");
		text_add_json(out, preferred);
		text_add(out, ", \"required\": false}");
	}
	return STATUS_DONE;
}

static int add_certificate(struct text *out, const struct adhoc *adhoc)
{
	const struct options *options = &adhoc->shell->options;

	text_add_json(out, text_of(&adhoc->name));
	text_add(out, ": {\"account\": \"" ADHOC_ACCOUNT "\"");
	if (option_given(options, OPTION_DOMAIN)) {
		text_add(out, ", \"names\": ");
		add_strings(out, &options->given[OPTION_DOMAIN]);
	}
	if (option_given(options, OPTION_CSR)) {
		text_add(out, ", \"csr\": ");
		add_path(out, option_value(options, OPTION_CSR));
	}
	if (option_given(options, OPTION_KEY)) {
		text_add(out, ", \"key\": ");
		add_strings(out, &options->given[OPTION_KEY]);
	}
	add_option_text(out, "preferred_chain", options, OPTION_PREFERRED_CHAIN);
	text_add(out, ", \"challenge\": {\"type\": ");
	text_add_json(out, challenge_type(adhoc->shell));
	if (adhoc->challenge.len > 0) {
		text_add(out, ", \"target\": ");
		text_add_json(out, text_of(&adhoc->challenge));
	}
	text_printf(out, "}, \"deploy\": [%s]", text_of(&adhoc->deploy));
	if (add_profile(out, adhoc->shell) != STATUS_DONE)
		return STATUS_USAGE;
	text_add(out, "}");
	return STATUS_DONE;
}

/* May it be left out here? */
static int is_optional(const struct shell *shell, enum option_id id)
{
	return (id == OPTION_DOMAIN && option_given(&shell->options, OPTION_CSR)) ||
		(id == OPTION_TARGET && !needs_target(shell));
}

/* Of the verb that was called: another one would do something. */
static void add_example(struct text *out, const struct verb *verb)
{
	int has_terms = verb->run == run_issue || verb->run == run_renew ||
		verb->run == run_account_register;

	text_printf(out, "certauto %s --server letsencrypt%s --state /var/lib/certauto%s",
		verb->name, has_terms ? EXAMPLE_TERMS : "",
		(verb->options & OPTION_BIT(OPTION_DOMAIN)) != 0 ? EXAMPLE_CERTIFICATE : "");
}

/* Names what is not there; all at once, as one goes through the list once. */
static int check_complete(const struct shell *shell)
{
	static const enum option_id needed[] = {
		OPTION_SERVER, OPTION_STATE, OPTION_DOMAIN, OPTION_TARGET};
	const struct options *options = &shell->options;
	struct text missing = {0}, example = {0};
	size_t i;
	int status = STATUS_DONE;

	add_example(&example, shell->verb);
	for (i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if ((shell->verb->options & OPTION_BIT(needed[i])) != 0 &&
		    !option_given(options, needed[i]) && !is_optional(shell, needed[i]))
			text_printf(&missing, "%s--%s %s", missing.len > 0 ? ", " : "",
				option_rows[needed[i]].name, option_rows[needed[i]].argument);
	if (option_given(options, OPTION_CSR) && option_given(options, OPTION_KEY))
		status = say_usage(shell,
			"--csr FILE is for a key that is there already: --key TYPE has no use");
	else if (missing.len > 0)
		status = say_usage(shell,
			"without a configuration file this is missing: %s. For example: %s",
			text_of(&missing), text_of(&example));
	text_free(&missing);
	text_free(&example);
	return status;
}

/* The text of the configuration. 0 or an exit status, said. */
static int add_config(struct text *out, struct adhoc *adhoc)
{
	int status;

	if ((status = check_complete(adhoc->shell)) != STATUS_DONE ||
	    (status = find_certificate_name(adhoc)) != STATUS_DONE ||
	    (status = add_targets(adhoc)) != STATUS_DONE)
		return status;
	text_add(out, "{\"state\": ");
	add_path(out, option_value(&adhoc->shell->options, OPTION_STATE));
	text_add(out, ",\n");
	if ((status = add_account(out, adhoc->shell)) != STATUS_DONE)
		return status;
	text_printf(out, "\"targets\": {%s},\n\"certificates\": {", text_of(&adhoc->targets));
	if (option_given(&adhoc->shell->options, OPTION_DOMAIN) ||
	    option_given(&adhoc->shell->options, OPTION_CSR))
		status = add_certificate(out, adhoc);
	text_add(out, "}}\n");
	return status;
}

int adhoc_open(struct shell *shell)
{
	struct adhoc adhoc = {.shell = shell};
	const struct options *options = &shell->options;
	struct text config = {0};
	int status;

	if (options->operands.n > 0)
		return say_usage(shell,
			"\"%s\" would be a name in a configuration file; "
			"--server, --state, --domain and so on stand instead of one",
			options->operands.items[0]);
	status = add_config(&config, &adhoc);
	if (status == STATUS_DONE)
		status = parse(shell, &config);
	adhoc_free(&adhoc);
	text_free(&config);
	return status;
}
