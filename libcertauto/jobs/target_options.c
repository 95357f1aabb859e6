/* SPDX-License-Identifier: Apache-2.0 */
/* Options of targets: one table of rows for each type, the rows every target has behind it. All
 * values come as strings, from C, a configuration or a command line alike, and are read here,
 * once. */

#include "jobs/target_options.h"

#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "dns/dns.h"
#include "json/reader.h"

#define OPTION_SHOWN 64 /* bytes of a refused value that a message repeats */

static const struct certauto__option common_options[] = {
	{.name = "probe",
		.type = CERTAUTO__OPTION_LIST,
		.help = "addresses (host:port) where the served certificate is checked by a TLS "
			"handshake; default: where the target serves it (nsx: managers and "
			"virtual IP), else each of its names at port 443; no = not at all, with a "
			"warning"},
	{.name = "challenge_check",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "auto",
		.help = "how the answer to an http-01 challenge is fetched before the CA is told "
			"to look: auto = through port 80 of the name, host:port = through that "
			"address, no = not at all"},
	{.name = "ca_file",
		.type = CERTAUTO__OPTION_PATH,
		.help = "CA certificates (PEM) that the target's own TLS certificate is verified "
			"with, instead of the system's"},
	{.name = "pin",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "sha256//BASE64 of the public key the target's own TLS certificate must "
			"have"},
	{.name = "timeout_ms",
		.type = CERTAUTO__OPTION_NUMBER,
		.value = "60000",
		.min = 100,
		.max = 3600000,
		.help = "how long one call to the target, and the proof that it serves the "
			"certificate, may take, in milliseconds"},
	{.name = "insecure",
		.type = CERTAUTO__OPTION_BOOLEAN,
		.value = "no",
		.help = "do not verify the target's own TLS certificate"},
	{.name = "allow_key_over_insecure",
		.type = CERTAUTO__OPTION_BOOLEAN,
		.value = "no",
		.help = "send private keys to the target although insecure is set"},
	{.name = NULL}};

/* Of those that answer challenges in the DNS: behind the others. */
static const struct certauto__option dns_options[] = {
	{.name = "dns_check",
		.type = CERTAUTO__OPTION_LIST,
		.value = "yes",
		.help = "the name servers that must all show a TXT record before the CA is told "
			"to look: yes = those of its zone, :port = the same at another port, "
			"host:port (several with commas) = these; no = the DNS is not asked for "
			"anything"},
	{.name = "dns_resolver",
		.type = CERTAUTO__OPTION_LIST,
		.help = "address:port of the resolver (several with commas) that is asked "
			"for CNAMEs, zones and name servers, instead of the system's"},
	{.name = "dns_alias",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "where the TXT record is put instead of _acme-challenge.NAME, which must "
			"be a CNAME to it; default: where CNAMEs lead"},
	{.name = "dns_wait_ms",
		.type = CERTAUTO__OPTION_NUMBER,
		.value = "120000",
		.min = 100,
		.max = 3600000,
		.help = "how long the name servers may take to show a TXT record, in "
			"milliseconds"},
	{.name = NULL}};

static size_t options_count(const struct certauto__option *options)
{
	size_t n = 0;

	while (options != NULL && options[n].name != NULL)
		n++;
	return n;
}

/* ---- reading one value ---- */

static int option_argv_cb(void *arg, const certauto__json_value *value)
{
	certauto__list *list = arg;

	if (value->n_parts == 0)
		return value->type == CERTAUTO__JSON_ARRAY ||
				value->type == CERTAUTO__JSON_ARRAY_END
			? 0
			: CERTAUTO_EINVAL;
	if (value->n_parts != 1 || value->type != CERTAUTO__JSON_STRING)
		return CERTAUTO_EINVAL;
	return certauto__list_add(list, value->text, value->len);
}

static int option_read_argv(const char *text, certauto__list *list)
{
	int rc = certauto__json_read("option", text, strlen(text), &certauto__json_limits_device,
		option_argv_cb, list, NULL);

	if (rc == CERTAUTO_ENOMEM)
		return rc;
	return rc < 0 || list->n == 0 || list->items[0][0] == '\0' ? CERTAUTO_EINVAL : 0;
}

static int option_read_boolean(const char *text, int64_t *out)
{
	static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (certauto__text_equal(text, words[i])) {
			*out = (int64_t)(i & 1);
			return 0;
		}
	}
	return CERTAUTO_EINVAL;
}

/* Control bytes are never meant, and end a line of whatever protocol the value goes into. */
static int option_is_clean(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return 0;
	}
	return 1;
}

static int option_read(const struct certauto__option *option, const char *text,
	certauto__list *list, int64_t *number)
{
	if (!option_is_clean(text))
		return CERTAUTO_EINVAL;
	switch (option->type) {
	case CERTAUTO__OPTION_PATH:
		return text[0] == '/' ? 0 : CERTAUTO_EINVAL;
	case CERTAUTO__OPTION_NUMBER:
		return certauto__number_parse(text, option->min, option->max, number);
	case CERTAUTO__OPTION_BOOLEAN:
		return option_read_boolean(text, number);
	case CERTAUTO__OPTION_LIST:
		return certauto__list_split(list, text, ',');
	case CERTAUTO__OPTION_ARGV:
		return option_read_argv(text, list);
	case CERTAUTO__OPTION_TEXT:
		break;
	}
	return 0;
}

/* ---- values ---- */

static void value_clear(struct certauto__option_value *value)
{
	certauto__secret_free(value->secret);
	certauto__free(value->text);
	certauto__list_free(&value->list);
	value->secret = NULL;
	value->text = NULL;
	value->number = 0;
}

static int value_set(struct certauto__option_value *value, const char *text)
{
	struct certauto__option_value fresh = {.option = value->option};
	int rc;

	if ((rc = option_read(value->option, text, &fresh.list, &fresh.number)) < 0)
		goto out;
	if (value->option->flags & CERTAUTO_OPTION_SENSITIVE)
		rc = certauto__secret_new(&fresh.secret, text, strlen(text));
	else if ((fresh.text = certauto__strdup(text)) == NULL)
		rc = CERTAUTO_ENOMEM;
	if (rc == 0) {
		value_clear(value);
		*value = fresh;
		memset(&fresh, 0, sizeof(fresh));
	}
out:
	value_clear(&fresh);
	return rc;
}

static void values_name(struct certauto__option_value *values,
	const struct certauto__option *options)
{
	size_t n = options_count(options), i;

	for (i = 0; i < n; i++)
		values[i].option = &options[i];
}

/* One table in front of the common ones; defaults are read like any other value. */
int certauto__option_values_new(struct certauto__option_value **out, size_t *n_out,
	const struct certauto__target_row *row, certauto_error *err)
{
	const struct certauto__option *dns =
		row->caps & CERTAUTO_TARGET_DNS01 ? dns_options : NULL;
	size_t n_own = options_count(row->options), n_common = options_count(common_options),
	       n = n_own + n_common + options_count(dns), i;
	struct certauto__option_value *values = certauto__alloc(n * sizeof(*values));
	int rc;

	if (values == NULL)
		return certauto__error_nomem(err);
	values_name(values, row->options);
	values_name(values + n_own, common_options);
	values_name(values + n_own + n_common, dns);
	for (i = 0; i < n; i++) {
		if (values[i].option->value == NULL)
			continue;
		if ((rc = value_set(&values[i], values[i].option->value)) < 0)
			goto err;
	}
	*out = values;
	*n_out = n;
	return 0;
err:
	if (rc == CERTAUTO_ENOMEM)
		certauto__error_nomem(err);
	else
		certauto__error_set(err, rc, values[i].option->name,
			"option \"%s\": its default is not what it takes", values[i].option->name);
	certauto__option_values_free(values, n);
	return rc;
}

void certauto__option_values_free(struct certauto__option_value *values, size_t n)
{
	size_t i;

	if (values == NULL)
		return;
	for (i = 0; i < n; i++)
		value_clear(&values[i]);
	certauto__free(values);
}

static int options_have(const struct certauto__option *options, const char *name)
{
	for (; options->name != NULL; options++) {
		if (certauto__text_equal(options->name, name))
			return 1;
	}
	return 0;
}

int certauto__option_is_common(const char *name)
{
	return options_have(common_options, name) || options_have(dns_options, name);
}

static struct certauto__option_value *value_find(const certauto_target *target, const char *name)
{
	size_t i;

	for (i = 0; i < target->n_options; i++) {
		if (certauto__text_equal(target->values[i].option->name, name))
			return &target->values[i];
	}
	return NULL;
}

/* ---- setting, and what is said when it cannot be done ---- */

static int option_unknown(const certauto_target *target, const char *name, certauto_error *err)
{
	certauto__buffer known = CERTAUTO__BUFFER(4096), shown = CERTAUTO__BUFFER(4096);
	size_t i;
	int rc;

	for (i = 0; i < target->n_options; i++)
		certauto__buffer_printf(&known, "%s%s", i == 0 ? "" : ", ",
			target->values[i].option->name);
	certauto__text_escape(&shown, name, strlen(name));
	rc = certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s (%s) has no option \"%s\"; its options are %s", target->label,
		target->row->name, certauto__buffer_text(&shown), certauto__buffer_text(&known));
	certauto__buffer_free(&known);
	certauto__buffer_free(&shown);
	return rc;
}

static void option_takes(const struct certauto__option *option, certauto__buffer *out)
{
	static const char *const takes[] = {
		[CERTAUTO__OPTION_TEXT] = "a text without control characters",
		[CERTAUTO__OPTION_PATH] = "an absolute path",
		[CERTAUTO__OPTION_NUMBER] = "a number",
		[CERTAUTO__OPTION_BOOLEAN] = "yes or no",
		[CERTAUTO__OPTION_LIST] = "texts separated by commas",
		[CERTAUTO__OPTION_ARGV] = "a program and its arguments as a JSON array of strings, "
					  "[\"/usr/bin/systemctl\", \"reload\", \"nginx\"]"};

	certauto__buffer_text_add(out, takes[option->type]);
	if (option->type == CERTAUTO__OPTION_NUMBER)
		certauto__buffer_printf(out, " from %lld to %lld", (long long)option->min,
			(long long)option->max);
}

static int option_refused(const certauto_target *target, const struct certauto__option *option,
	const char *text, certauto_error *err)
{
	certauto__buffer takes = CERTAUTO__BUFFER(512), shown = CERTAUTO__BUFFER(4096);
	size_t len = strlen(text);
	int rc;

	option_takes(option, &takes);
	if (!(option->flags & CERTAUTO_OPTION_SENSITIVE)) {
		certauto__buffer_text_add(&shown, ", not \"");
		certauto__text_escape(&shown, text, len < OPTION_SHOWN ? len : OPTION_SHOWN);
		certauto__buffer_text_add(&shown, len < OPTION_SHOWN ? "\"" : "...\"");
	}
	rc = certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"%s\" takes %s%s", target->label, option->name,
		certauto__buffer_text(&takes), certauto__buffer_text(&shown));
	certauto__buffer_free(&takes);
	certauto__buffer_free(&shown);
	return rc;
}

/* An empty text is as good as none; and where there is a default, it is relied on. */
static int means_default(const struct certauto__option *option, const char *text)
{
	return text[0] == '\0' && option->value != NULL && !option->may_be_empty &&
		(option->type == CERTAUTO__OPTION_TEXT || option->type == CERTAUTO__OPTION_LIST);
}

int certauto__target_set_option(certauto_target *target, const char *name, const char *value,
	certauto_error *err)
{
	struct certauto__option_value *slot = value_find(target, name);
	int is_default, rc;

	if (slot == NULL)
		return option_unknown(target, name, err);
	is_default = means_default(slot->option, value);
	rc = value_set(slot, is_default ? slot->option->value : value);
	if (rc == CERTAUTO_ENOMEM)
		return certauto__error_nomem(err);
	if (rc < 0)
		return option_refused(target, slot->option, value, err);
	slot->is_set = !is_default;
	return 0;
}

/* ---- checks ---- */

static int check_address(const certauto_target *target, const char *option, const char *text,
	int default_port, certauto_error *err)
{
	char address[CERTAUTO__ADDRESS];

	/* "no" among others is a contradiction, not a host of that name. */
	if (!certauto__text_equal(text, "no") &&
		certauto__address_format(address, text, default_port) == 0)
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"%s\": \"%.64s\" is not host:port", target->label, option, text);
}

/* "yes", "no" and ":port" stand alone. */
static int check_dns_check(const certauto_target *target, certauto_error *err)
{
	const certauto__list *servers = certauto__option_list(target, "dns_check");
	const char *only = servers->n == 1 ? servers->items[0] : "";
	int64_t port;
	size_t i;
	int rc;

	if (certauto__text_equal(only, "yes") || certauto__text_equal(only, "no") ||
		(only[0] == ':' && certauto__number_parse(only + 1, 1, 65535, &port) == 0))
		return 0;
	for (i = 0; i < servers->n; i++) {
		if (certauto__text_equal(servers->items[i], "yes"))
			return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
				"%s: option \"dns_check\": \"yes\" stands alone", target->label);
		if ((rc = check_address(target, "dns_check", servers->items[i], 53, err)) < 0)
			return rc;
	}
	return 0;
}

static int check_dns(const certauto_target *target, certauto_error *err)
{
	const certauto__list *resolver = certauto__option_list(target, "dns_resolver");
	const char *alias = certauto__option_text(target, "dns_alias");
	char address[CERTAUTO__ADDRESS];
	size_t i;

	for (i = 0; i < resolver->n; i++) {
		if (certauto__address_format(address, resolver->items[i], 53) < 0 ||
			!certauto__address_is_ip(address))
			return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
				"%s: option \"dns_resolver\": \"%.64s\" is not the address of a "
				"resolver, and its port if that is not 53",
				target->label, resolver->items[i]);
	}
	if (alias != NULL && !certauto__dns_owner_valid(alias))
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"dns_alias\": \"%.64s\" is not the name of a record",
			target->label, alias);
	return check_dns_check(target, err);
}

/* One or several: as libcurl takes them. */
static int is_pin(const char *text)
{
	static const char head[] = "sha256//", base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
							  "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (;; text++) {
		if (!certauto__text_starts(text, head))
			return 0;
		text += strlen(head);
		if (strspn(text, base64) != 43 || text[43] != '=')
			return 0;
		text += 44;
		if (*text != ';')
			return *text == '\0';
	}
}

static int check_common(const certauto_target *target, certauto_error *err)
{
	const certauto__list *probe = certauto__option_list(target, "probe");
	const char *check = certauto__option_text(target, "challenge_check");
	const char *pin = certauto__option_text(target, "pin");
	size_t i;
	int rc;

	for (i = 0; i < probe->n; i++) {
		if (certauto__text_equal(probe->items[i], "no") && probe->n == 1)
			break;
		if ((rc = check_address(target, "probe", probe->items[i], 443, err)) < 0)
			return rc;
	}
	if (check != NULL && !certauto__text_equal(check, "auto") &&
		!certauto__text_equal(check, "no") &&
		(rc = check_address(target, "challenge_check", check, 80, err)) < 0)
		return rc;
	if (pin != NULL && !is_pin(pin))
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"pin\" is written sha256//BASE64, of 32 bytes",
			target->label);
	return check_dns(target, err);
}

int certauto__target_check_options(certauto_target *target, certauto_error *err)
{
	size_t i;
	int rc;

	for (i = 0; i < target->n_options; i++) {
		const struct certauto__option *option = target->values[i].option;

		if ((option->flags & CERTAUTO_OPTION_REQUIRED) &&
			!certauto__option_is_set(target, option->name))
			return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
				"%s (%s): option \"%s\" is missing: %s", target->label,
				target->row->name, option->name,
				option->help != NULL ? option->help : "it is required");
	}
	if ((rc = check_common(target, err)) < 0)
		return rc;
	return target->row->check != NULL ? target->row->check(target, err) : 0;
}

int certauto__target_caps(const certauto_target *target)
{
	int caps = target->row->caps, is_set = 0;
	size_t i;

	for (i = 0; i < target->n_options; i++) {
		const struct certauto__option_value *value = &target->values[i];

		is_set |= value->is_set;
		if (!certauto__option_is_set(target, value->option->name))
			caps &= ~value->option->needed_for;
	}
	return is_set ? caps : target->row->caps;
}

static const char *cap_missing(int cap)
{
	switch (cap) {
	case CERTAUTO_TARGET_HTTP01:
		return "does not answer http-01 challenges";
	case CERTAUTO_TARGET_DNS01:
		return "does not answer dns-01 challenges";
	case CERTAUTO_TARGET_TLSALPN01:
		return "does not answer tls-alpn-01 challenges";
	case CERTAUTO_TARGET_DEPLOY:
		return "takes no certificates";
	case CERTAUTO_TARGET_CSR:
		return "makes no keys itself";
	}
	return "cannot do that";
}

int certauto__target_able(const certauto_target *target, int cap, certauto_error *err)
{
	size_t i;

	if (!(target->row->caps & cap))
		return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, target->label,
			"%s: a target of type \"%s\" %s", target->label, target->row->name,
			cap_missing(cap));
	for (i = 0; i < target->n_options; i++) {
		const struct certauto__option *option = target->values[i].option;

		if ((option->needed_for & cap) && !certauto__option_is_set(target, option->name))
			return certauto__error_set(err, CERTAUTO_EUNSUPPORTED, target->label,
				"%s (%s): option \"%s\" is missing: %s", target->label,
				target->row->name, option->name, option->help);
	}
	return 0;
}

int certauto__target_option_info(const certauto_target *target, const char *name,
	enum certauto__option_type *type_out)
{
	const struct certauto__option_value *value = value_find(target, name);

	if (value == NULL)
		return -1;
	if (type_out != NULL)
		*type_out = value->option->type;
	return certauto__option_flags(value->option);
}

/* ---- reading ---- */

int certauto__option_flags(const struct certauto__option *option)
{
	int flags = option->flags;

	if (option->type == CERTAUTO__OPTION_LIST)
		flags |= CERTAUTO_OPTION_LIST;
	if (option->type == CERTAUTO__OPTION_ARGV)
		flags |= CERTAUTO_OPTION_ARGV;
	return flags;
}

const char *certauto__option_type_name(const struct certauto__option *option)
{
	static const char *const names[] = {[CERTAUTO__OPTION_TEXT] = "text",
		[CERTAUTO__OPTION_PATH] = "path",
		[CERTAUTO__OPTION_NUMBER] = "number",
		[CERTAUTO__OPTION_BOOLEAN] = "boolean",
		[CERTAUTO__OPTION_LIST] = "list",
		[CERTAUTO__OPTION_ARGV] = "argv"};

	return names[option->type];
}

/* 0 and the type, or -1: for option tables that come as text. */
int certauto__option_type_parse(const char *name, enum certauto__option_type *out)
{
	struct certauto__option option = {.type = CERTAUTO__OPTION_TEXT};
	int type;

	for (type = CERTAUTO__OPTION_TEXT; type <= CERTAUTO__OPTION_ARGV; type++) {
		option.type = (enum certauto__option_type)type;
		if (certauto__text_equal(certauto__option_type_name(&option), name)) {
			*out = option.type;
			return 0;
		}
	}
	return -1;
}

/* An empty text is as good as none. */
const char *certauto__option_text(const certauto_target *target, const char *name)
{
	const struct certauto__option_value *value = value_find(target, name);
	const char *text;

	if (value == NULL)
		return NULL;
	text = value->secret != NULL ? certauto__secret_text(value->secret) : value->text;
	return text != NULL && text[0] != '\0' ? text : NULL;
}

int64_t certauto__option_number(const certauto_target *target, const char *name)
{
	const struct certauto__option_value *value = value_find(target, name);

	return value != NULL ? value->number : 0;
}

int certauto__option_flag(const certauto_target *target, const char *name)
{
	return certauto__option_number(target, name) != 0;
}

const certauto__list *certauto__option_list(const certauto_target *target, const char *name)
{
	static const certauto__list none;
	const struct certauto__option_value *value = value_find(target, name);

	return value != NULL ? &value->list : &none;
}

/* Set by somebody, and not to nothing. */
int certauto__option_is_set(const certauto_target *target, const char *name)
{
	const struct certauto__option_value *value = value_find(target, name);

	return value != NULL && value->is_set && certauto__option_text(target, name) != NULL;
}
