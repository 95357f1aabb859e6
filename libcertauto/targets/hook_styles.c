/* SPDX-License-Identifier: Apache-2.0 */
/* What the hook programs of other clients are told, and how: certbot 5 (manual plugin, deploy
 * hook), dehydrated 0.7, lego 4 and 5 (DNS provider exec, deploy hook), acme.sh 3 (dnsapi, deploy).
 * Each as its own documentation has it, for programs that were written for it and shall not
 * notice. */

#include "targets/hook.h"

#include <paths.h>
#include <stdarg.h>
#include <string.h>

#include "core/clock.h"

/* ---- filling ---- */

static void argument(struct certauto__hook_call *call, const char *text)
{
	if (call->rc == 0)
		call->rc = certauto__list_add_text(call->argv, text != NULL ? text : "");
}

/* Value of a variable by the option environment, or NULL: it is not in there. */
static const char *own_variable(const struct certauto__hook_call *call, const char *name)
{
	const certauto__list *environment = certauto__option_list(call->target, "environment");
	const char *value;
	size_t i, len;

	for (i = 0; i < environment->n; i++) {
		value = certauto__hook_variable(environment->items[i], &len);
		if (len == strlen(name) && memcmp(environment->items[i], name, len) == 0)
			return value;
	}
	return NULL;
}

/* One of the contract. Nobody sets the same by accident, and of two of a name shells go by the
 * last, most others by the first. */
__attribute__((format(printf, 3, 4))) static void variable(struct certauto__hook_call *call,
	const char *name, const char *format, ...)
{
	certauto__buffer line = CERTAUTO__BUFFER(128 * 1024);
	va_list args;

	if (own_variable(call, name) != NULL)
		return;
	certauto__buffer_printf(&line, "%s=", name);
	va_start(args, format);
	certauto__buffer_vprintf(&line, format, args);
	va_end(args);
	if (call->rc == 0 && (call->rc = line.rc) == 0)
		call->rc = certauto__list_add(call->environment, line.data, line.len);
	certauto__buffer_free(&line);
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static void program(struct certauto__hook_call *call)
{
	const certauto__list *argv = certauto__hook_program(call->target, call->verb);
	size_t i;

	for (i = 0; i < argv->n; i++)
		argument(call, argv->items[i]);
}

static void join(certauto__buffer *out, const certauto__list *names, const char *separator)
{
	size_t i;

	for (i = 0; names != NULL && i < names->n; i++)
		certauto__buffer_printf(out, "%s%s", i > 0 ? separator : "", names->items[i]);
}

static void names_variable(struct certauto__hook_call *call, const char *name,
	const char *separator)
{
	certauto__buffer names = CERTAUTO__BUFFER(64 * 1024);

	join(&names, call->names, separator);
	if (call->rc == 0)
		call->rc = names.rc;
	variable(call, name, "%s", certauto__buffer_text(&names));
	certauto__buffer_free(&names);
}

static const char *first_name(const struct certauto__hook_call *call)
{
	return call->names != NULL && call->names->n > 0 ? call->names->items[0] : call->name;
}

static void file_argument(struct certauto__hook_call *call, enum certauto__pemfiles_role role)
{
	certauto__buffer path = CERTAUTO__BUFFER(8192);

	certauto__buffer_printf(&path, "%s/%s", call->folder, certauto__hook_files[role]);
	if (call->rc == 0)
		call->rc = path.rc;
	argument(call, certauto__buffer_text(&path));
	certauto__buffer_free(&path);
}

static void file_variable(struct certauto__hook_call *call, const char *name,
	enum certauto__pemfiles_role role)
{
	variable(call, name, "%s/%s", call->folder, certauto__hook_files[role]);
}

/* ---- certbot: everything in the environment ---- */

/* How many challenges are still to come is not known here: 0 makes a program that waits after the
 * last one wait after each. */
static void certbot_challenge(struct certauto__hook_call *call)
{
	variable(call, "CERTBOT_DOMAIN", "%s", call->domain);
	variable(call, "CERTBOT_IDENTIFIER", "%s", call->domain);
	variable(call, "CERTBOT_ALL_DOMAINS", "%s", call->domain);
	variable(call, "CERTBOT_ALL_IDENTIFIERS", "%s", call->domain);
	variable(call, "CERTBOT_REMAINING_CHALLENGES", "0");
	variable(call, "CERTBOT_VALIDATION", "%s", or_empty(call->value));
	if (certauto__text_equal(call->challenge, "http-01"))
		variable(call, "CERTBOT_TOKEN", "%s", or_empty(call->token));
	if (call->verb == CERTAUTO__HOOK_REMOVE)
		variable(call, "CERTBOT_AUTH_OUTPUT", "%s", or_empty(call->output));
}

static void certbot_tell(struct certauto__hook_call *call)
{
	program(call);
	if (call->verb != CERTAUTO__HOOK_DEPLOY) {
		certbot_challenge(call);
		return;
	}
	variable(call, "RENEWED_LINEAGE", "%s", call->folder);
	names_variable(call, "RENEWED_DOMAINS", " ");
}

/* ---- dehydrated: a verb and its arguments ---- */

static void dehydrated_deploy(struct certauto__hook_call *call)
{
	certauto__buffer now = CERTAUTO__BUFFER(32);

	argument(call, "deploy_cert");
	argument(call, first_name(call));
	file_argument(call, CERTAUTO__PEMFILES_KEY);
	file_argument(call, CERTAUTO__PEMFILES_CERT);
	file_argument(call, CERTAUTO__PEMFILES_FULLCHAIN);
	file_argument(call, CERTAUTO__PEMFILES_CHAIN);
	certauto__buffer_printf(&now, "%lld", (long long)certauto__clock_now());
	argument(call, certauto__buffer_text(&now));
	certauto__buffer_free(&now);
	variable(call, "alias", "%s", call->name);
	names_variable(call, "altnames", " ");
}

static void dehydrated_tell(struct certauto__hook_call *call)
{
	const char *folder = certauto__option_text(call->target, "folder");

	program(call);
	if (call->rc == 0)
		variable(call, "HOOK", "%s", call->argv->items[0]);
	variable(call, "HOOK_CHAIN", "no");
	if (folder != NULL)
		variable(call, "CERTDIR", "%s", folder);
	if (call->verb == CERTAUTO__HOOK_DEPLOY) {
		dehydrated_deploy(call);
		return;
	}
	variable(call, "CHALLENGETYPE", "%s", or_empty(call->challenge));
	argument(call,
		call->verb == CERTAUTO__HOOK_ADD ? "deploy_challenge" : "clean_challenge");
	argument(call, call->domain);
	argument(call, call->token);
	argument(call, call->value);
}

/* ---- lego: exec ---- */

/* EXEC_MODE is lego's own variable, and so it stands in the option environment. */
static int lego_is_raw(const struct certauto__hook_call *call)
{
	return certauto__text_equal(own_variable(call, "EXEC_MODE"), "RAW");
}

static void lego_challenge(struct certauto__hook_call *call)
{
	certauto__buffer fqdn = CERTAUTO__BUFFER(512);

	argument(call, call->verb == CERTAUTO__HOOK_ADD ? "present" : "cleanup");
	if (lego_is_raw(call)) {
		if (call->rc == 0 && call->key_authorization == NULL)
			call->rc = CERTAUTO_EUNSUPPORTED;
		argument(call, "--");
		argument(call, call->domain);
		argument(call, call->token);
		argument(call, call->key_authorization);
		return;
	}
	certauto__buffer_printf(&fqdn, "%s.", or_empty(call->record));
	if (call->rc == 0)
		call->rc = fqdn.rc;
	argument(call, certauto__buffer_text(&fqdn));
	argument(call, call->value);
	certauto__buffer_free(&fqdn);
}

static const char *lego_key_type(const char *type)
{
	static const char *const types[][2] = {{"ecdsa-p256", "EC256"}, {"ecdsa-p384", "EC384"},
		{"rsa-2048", "RSA2048"}, {"rsa-3072", "RSA3072"}, {"rsa-4096", "RSA4096"}};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (certauto__text_equal(type, types[i][0]))
			return types[i][1];
	return type;
}

/* The names of version 5, then those of version 4. */
static void lego_deploy(struct certauto__hook_call *call)
{
	variable(call, "LEGO_HOOK_CERT_NAME", "%s", call->name);
	variable(call, "LEGO_HOOK_CERT_NAME_SANITIZED", "%s", call->name);
	variable(call, "LEGO_HOOK_CERT_KEY_TYPE", "%s", lego_key_type(call->key_type));
	names_variable(call, "LEGO_HOOK_CERT_DOMAINS", ",");
	file_variable(call, "LEGO_HOOK_CERT_PATH", CERTAUTO__PEMFILES_FULLCHAIN);
	file_variable(call, "LEGO_HOOK_CERT_KEY_PATH", CERTAUTO__PEMFILES_KEY);
	file_variable(call, "LEGO_HOOK_ISSUER_CERT_PATH", CERTAUTO__PEMFILES_CHAIN);
	variable(call, "LEGO_CERT_DOMAIN", "%s", first_name(call));
	file_variable(call, "LEGO_CERT_PATH", CERTAUTO__PEMFILES_FULLCHAIN);
	file_variable(call, "LEGO_CERT_KEY_PATH", CERTAUTO__PEMFILES_KEY);
	file_variable(call, "LEGO_ISSUER_CERT_PATH", CERTAUTO__PEMFILES_CHAIN);
}

static void lego_tell(struct certauto__hook_call *call)
{
	program(call);
	if (call->verb == CERTAUTO__HOOK_DEPLOY)
		lego_deploy(call);
	else
		lego_challenge(call);
}

/* ---- acme.sh: functions of a script that is sourced ---- */

/* Constant: what is different each time comes as arguments. $0 is acme.sh, whose functions the
 * script uses; called with ":" it does nothing but define them. Without it the script has those
 * that print and compare, and nothing is remembered for it. */
static const char sourcing[] =
	"certauto_source() { certauto_file=$1; shift; . \"$certauto_file\"; }\n"
	"case $0 in\n"
	"/*)\n"
	"	certauto_source \"$0\" : || exit\n"
	"	case $2 in\n"
	"	*_deploy) _initpath \"$3\" ;;\n"
	"	*) _initpath ;;\n"
	"	esac || exit\n"
	"	;;\n"
	"*)\n"
	"	_info() { printf '%s\\n' \"$*\"; }\n"
	"	_err() { printf '%s\\n' \"$*\" >&2; return 1; }\n"
	"	_debug() { :; }\n"
	"	_debug2() { :; }\n"
	"	_debug3() { :; }\n"
	"	_secure_debug() { :; }\n"
	"	_secure_debug2() { :; }\n"
	"	_exists() { command -v \"$1\" >/dev/null 2>&1; }\n"
	"	_contains() { case $1 in *\"$2\"*) ;; *) return 1 ;; esac; }\n"
	"	_startswith() { case $1 in \"$2\"*) ;; *) return 1 ;; esac; }\n"
	"	_endswith() { case $1 in *\"$2\") ;; *) return 1 ;; esac; }\n"
	"	_readaccountconf() { :; }\n"
	"	_readaccountconf_mutable() { :; }\n"
	"	_saveaccountconf() { :; }\n"
	"	_saveaccountconf_mutable() { :; }\n"
	"	_clearaccountconf_mutable() { :; }\n"
	"	_getdeployconf() { :; }\n"
	"	_savedeployconf() { :; }\n"
	"	;;\n"
	"esac\n"
	"certauto_script=$1\n"
	"shift\n"
	"certauto_source \"$certauto_script\" || exit\n"
	"\"$@\"\n";

/* "/etc/acme/dns_x.sh" and "_add" to "dns_x_add". */
static void function_argument(struct certauto__hook_call *call, const char *script,
	const char *suffix)
{
	const char *name = strrchr(script, '/') + 1;
	certauto__buffer function = CERTAUTO__BUFFER(512);

	certauto__buffer_add(&function, name, strcspn(name, "."));
	certauto__buffer_text_add(&function, suffix);
	if (call->rc == 0)
		call->rc = function.rc;
	argument(call, certauto__buffer_text(&function));
	certauto__buffer_free(&function);
}

/* Where it keeps what scripts have it remember, unless the option environment says so. */
static void acmesh_home(struct certauto__hook_call *call, const char *acme_sh)
{
	if (own_variable(call, "HOME") != NULL)
		return;
	variable(call, "LE_WORKING_DIR", "%.*s", (int)(strrchr(acme_sh, '/') - acme_sh), acme_sh);
}

static void acmesh_tell(struct certauto__hook_call *call)
{
	const char *script = certauto__hook_program(call->target, call->verb)->items[0],
		   *acme_sh = certauto__option_text(call->target, "acme_sh");
	static const char *const suffixes[] = {"_add", "_rm", "_deploy"};

	argument(call, _PATH_BSHELL);
	argument(call, "-c");
	argument(call, sourcing);
	argument(call, acme_sh != NULL ? acme_sh : "acme.sh");
	argument(call, script);
	function_argument(call, script, suffixes[call->verb]);
	if (acme_sh != NULL)
		acmesh_home(call, acme_sh);
	if (call->verb != CERTAUTO__HOOK_DEPLOY) {
		argument(call, call->record);
		argument(call, call->value);
		return;
	}
	argument(call, first_name(call));
	file_argument(call, CERTAUTO__PEMFILES_KEY);
	file_argument(call, CERTAUTO__PEMFILES_CERT);
	file_argument(call, CERTAUTO__PEMFILES_CHAIN);
	file_argument(call, CERTAUTO__PEMFILES_FULLCHAIN);
}

/* ---- all ---- */

static const struct certauto__hook_style styles[] = {
	{.name = "certbot",
		.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DNS01,
		.wants_output = 1,
		.tell = certbot_tell},
	{.name = "dehydrated",
		.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DNS01,
		.deploys_alike = 1,
		.tell = dehydrated_tell},
	{.name = "lego",
		.caps = CERTAUTO_TARGET_DNS01,
		.tells_record = 1,
		.tell = lego_tell},
	{.name = "acme.sh",
		.caps = CERTAUTO_TARGET_DNS01,
		.tells_record = 1,
		.sourced = 1,
		.tell = acmesh_tell},
};

const struct certauto__hook_style *certauto__hook_style(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
		if (certauto__text_equal(styles[i].name, name))
			return &styles[i];
	return NULL;
}

const struct certauto__hook_style *certauto__hook_style_of(const certauto_target *target)
{
	return certauto__hook_style(certauto__option_text(target, "style"));
}
