/* SPDX-License-Identifier: Apache-2.0 */
/* HAProxy 2.4 and later, through the runtime API on its unix socket: the row, its options, what
 * the words of its answers mean, and the test. The challenge is in haproxy_present.c, the
 * certificate in haproxy_deploy.c. */

#include "targets/haproxy.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "targets/folder.h"
#include "targets/targets.h"

#define HAPROXY_WIDTH 8 /* requests at a time: each is a connection of its own */
#define HAPROXY_PATIENCE_MS \
	2000 /* a commit works at once: what is not served then is not going to be */
#define HAPROXY_SHOWN 200 /* bytes of an answer that messages repeat */
#define HAPROXY_VERSION 204 /* oldest: 2.4 */

static const struct certauto__option haproxy_options[] = {
	{.name = "socket",
		.type = CERTAUTO__OPTION_PATH,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "path of HAProxy's runtime API socket (\"stats socket PATH level admin\")"},
	{.name = "crt",
		.type = CERTAUTO__OPTION_PATH,
		.needed_for = CERTAUTO_TARGET_DEPLOY,
		.help = "path of the certificate as HAProxy knows it; with several keys .ecdsa and "
			".rsa are added; a new one goes into the certificate folder (\"crt "
			"FOLDER/\") it is in"},
	{.name = "map",
		.type = CERTAUTO__OPTION_TEXT,
		.needed_for = CERTAUTO_TARGET_HTTP01,
		.help = "the map that answers challenges, written as in HAProxy's configuration"},
	{.name = "mode",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "0600",
		.help = "mode of a new certificate file; one that is replaced keeps its owner and "
			"mode"},
	{.name = "bufsize",
		.type = CERTAUTO__OPTION_NUMBER,
		.value = "16384",
		.min = 1024,
		.max = 1 << 24,
		.help = "HAProxy's tune.bufsize, which a certificate with its key and chain must "
			"fit into"},
	{.name = NULL}};

/* ---- options ---- */

/* What goes into a command line must be one word of it: this is an admin's command line. */
int certauto__haproxy_is_word(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f ||
			strchr(";\\\"'<", text[i]) != NULL)
			return 0;
	}
	return 1;
}

static int word_check(const certauto_target *target, const char *option, certauto_error *err)
{
	const char *text = certauto__option_text(target, option);

	if (text == NULL || certauto__haproxy_is_word(text, strlen(text)))
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
		"%s: option \"%s\" may have no blanks, quotes, backslashes, \";\" or \"<\" in it: "
		"HAProxy's command line takes them for something else",
		target->label, option);
}

static int haproxy_check(certauto_target *target, certauto_error *err)
{
	const char *crt = certauto__option_text(target, "crt");
	mode_t mode;
	int rc;

	if ((rc = word_check(target, "crt", err)) < 0 || (rc = word_check(target, "map", err)) < 0)
		return rc;
	if (crt != NULL && (crt[strlen(crt) - 1] == '/' || strrchr(crt, '/') == crt))
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"crt\" is the path of a file in a folder of certificates",
			target->label);
	if (certauto__mode_parse(certauto__option_text(target, "mode"), &mode) < 0 ||
		(mode & CERTAUTO__OTHERS) != 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"mode\" is an octal mode such as 0600 or 0640 that gives "
			"others nothing: the file holds the private key",
			target->label);
	return 0;
}

/* ---- commands and answers ---- */

certauto__verdict certauto__haproxy_ask(certauto__exchange *x, const certauto_target *target,
	const char *what, const char *format, ...)
{
	certauto__verdict verdict = certauto__ask_unix(x, certauto__option_text(target, "socket"));
	va_list args;

	x->method = what;
	x->timeout_ms = certauto__option_number(target, "timeout_ms");
	va_start(args, format);
	certauto__buffer_vprintf(&x->body, format, args);
	va_end(args);
	certauto__buffer_text_add(&x->body, "\n");
	return verdict;
}

int certauto__haproxy_says(const certauto__exchange *x, const char *words)
{
	return strstr(certauto__exchange_answer(x, NULL), words) != NULL;
}

/* The answer as one line: HAProxy ends each with an empty one. */
static void answer_show(certauto__buffer *out, const certauto__exchange *x)
{
	const char *text = certauto__exchange_answer(x, NULL), *end;
	size_t left = HAPROXY_SHOWN, len;

	while (*(text += strspn(text, "\r\n ")) != '\0' && left > 0) {
		end = text + strcspn(text, "\r\n");
		len = (size_t)(end - text) < left ? (size_t)(end - text) : left;
		if (out->len > 0)
			certauto__buffer_text_add(out, " / ");
		certauto__text_escape(out, text, len);
		left -= len;
		text = end;
	}
}

static int answer_error(certauto_error *err, int code, const certauto__exchange *x,
	const char *object, const char *doing)
{
	certauto__buffer words = CERTAUTO__BUFFER(4096);
	int rc;

	answer_show(&words, x);
	rc = certauto__error_set(err, code, object, "%s: HAProxy at %s says \"%s\"", doing,
		certauto__buffer_text(&x->url), certauto__buffer_text(&words));
	certauto__buffer_free(&words);
	return rc;
}

certauto__verdict certauto__haproxy_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	certauto_error error = {0};

	answer_error(&error, CERTAUTO_EREFUSED, x, object, doing);
	return certauto__fail_with(job, &error);
}

/* No connection or no answer. What cannot change by itself is not tried again. */
static certauto__judgement judge_silence(certauto__exchange *x)
{
	const char *socket = certauto__buffer_text(&x->url);

	if (x->rc == CERTAUTO_ENOTFOUND) {
		certauto__error_clear(&x->error);
		certauto__error_set(&x->error, CERTAUTO_ENOTFOUND, socket, "there is no socket %s",
			socket);
		certauto__error_advise(&x->error,
			"HAProxy makes it when its configuration has \"stats socket %s level "
			"admin\" in the global section, and removes it when it ends: is it "
			"running?",
			socket);
		return CERTAUTO__BAD;
	}
	if (x->rc == CERTAUTO_EPERM) {
		certauto__error_clear(&x->error);
		certauto__error_set(&x->error, CERTAUTO_EPERM, socket,
			"no right to connect to %s: Permission denied", socket);
		certauto__error_advise(&x->error,
			"run as the socket's owner, or give it to a group: \"stats socket %s mode "
			"660 group GROUP level admin\"",
			socket);
		return CERTAUTO__BAD;
	}
	if (x->rc == CERTAUTO_EINVAL || x->rc == CERTAUTO_ENOMEM || x->rc == CERTAUTO_EPROTO)
		return CERTAUTO__BAD;
	if (x->rc == 0)
		certauto__error_set(&x->error, CERTAUTO_ENET, socket,
			"%s was closed without an answer", socket);
	if (x->body.len > 1024)
		certauto__error_advise(&x->error,
			"HAProxy closes the connection when a command of %zu bytes does not fit "
			"its tune.bufsize: is the option bufsize what is configured there?",
			x->body.len);
	return CERTAUTO__SOON;
}

int certauto__haproxy_is_others(const certauto__exchange *x)
{
	return certauto__haproxy_says(x, "ongoing transaction is about");
}

/* What an undo may hear: it is done, or there was nothing (left) to take back. */
static int undo_is_done(const certauto__exchange *x)
{
	static const char *const words[] = {"Success!", "Transaction created",
		"Transaction updated", "Transaction aborted", "No ongoing transaction", " deleted",
		"doesn't exist", "does not exist", "can't be found", "Key not found",
		"Unknown map identifier"};
	const char *text = certauto__exchange_answer(x, NULL);
	size_t i;

	if (text[strspn(text, "\r\n ")] == '\0')
		return 1;
	/* It is not ours that is open: there is nothing to abort. */
	if (certauto__text_equal(x->method, "abort ssl cert") &&
		certauto__haproxy_is_others(x))
		return 1;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strstr(text, words[i]) != NULL)
			return 1;
	}
	return 0;
}

/* Words that mean the same whatever was asked; the rest is read by the steps. */
static certauto__judgement haproxy_judge(certauto_job *job, certauto__exchange *x)
{
	const char *socket = certauto__buffer_text(&x->url);
	size_t len;

	certauto__exchange_answer(x, &len);
	if (x->rc < 0 || len == 0)
		return judge_silence(x);
	if (certauto__haproxy_says(x, "Permission denied")) {
		certauto__error_set(&x->error, CERTAUTO_EPERM, socket,
			"HAProxy at %s does not allow it: \"Permission denied\"",
			socket);
		certauto__error_advise(&x->error,
			"the socket needs \"level admin\": \"stats socket %s level admin\"",
			socket);
		return CERTAUTO__BAD;
	}
	if (certauto__text_starts(certauto__exchange_answer(x, NULL), "Unknown command")) {
		certauto__error_set(&x->error, CERTAUTO_EUNSUPPORTED, socket,
			"HAProxy at %s does not know the command \"%s\"; 2.4 or later is needed",
			socket, x->method != NULL ? x->method : "");
		return CERTAUTO__BAD;
	}
	if (certauto__undoing(job) && !undo_is_done(x)) {
		answer_error(&x->error, CERTAUTO_EREFUSED, x, socket, "taking it back");
		return CERTAUTO__BAD;
	}
	return CERTAUTO__OK;
}

static const struct certauto__peer_ops haproxy_peer_ops = {
	.kind = "haproxy", .judge = haproxy_judge};

static int haproxy_peer(certauto_target *target, certauto__peer **out, certauto_error *err)
{
	certauto__buffer key = CERTAUTO__BUFFER(8192);
	int rc, made;

	certauto__buffer_printf(&key, "haproxy:%s", certauto__option_text(target, "socket"));
	if (key.rc < 0)
		rc = certauto__error_nomem(err);
	else if ((rc = certauto__peer_get(out, target->object.cx, &haproxy_peer_ops,
			  certauto__buffer_text(&key), HAPROXY_WIDTH, &made)) < 0)
		certauto__error_set(err, rc, target->label, "%s: %s", target->label,
			certauto_error_text(rc));
	certauto__buffer_free(&key);
	return rc;
}

/* ---- the test: version, rights, certificate, map ---- */

static certauto__verdict version_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__haproxy_ask(x, certauto__job_env(job), "show info", "show info");
}

static certauto__verdict version_read(certauto_job *job, certauto__exchange *x)
{
	const char *at = strstr(certauto__exchange_answer(x, NULL), "\nVersion: ");
	int major, minor;

	if (at == NULL || sscanf(at, "\nVersion: %d.%d", &major, &minor) != 2)
		return certauto__haproxy_refused(job, x, certauto__buffer_text(&x->url),
			"asked for its version");
	if (major * 100 + minor < HAPROXY_VERSION)
		return certauto__fail(job, CERTAUTO_EUNSUPPORTED, certauto__buffer_text(&x->url),
			"HAProxy at %s is version %d.%d; 2.4 or later is needed",
			certauto__buffer_text(&x->url), major, minor);
	return CERTAUTO__NEXT;
}

static certauto__verdict level_ask(certauto_job *job, certauto__exchange *x)
{
	return certauto__haproxy_ask(x, certauto__job_env(job), "show cli level", "show cli level");
}

static certauto__verdict level_read(certauto_job *job, certauto__exchange *x)
{
	const char *socket = certauto__buffer_text(&x->url);
	certauto_error error = {0};

	if (certauto__haproxy_says(x, "admin"))
		return CERTAUTO__NEXT;
	answer_error(&error, CERTAUTO_EPERM, x, socket, "the socket's level must be admin");
	certauto__error_advise(&error,
		"write \"stats socket %s level admin\" in HAProxy's global section", socket);
	return certauto__fail_with(job, &error);
}

static certauto__verdict certificates_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);

	if (certauto__option_text(target, "crt") == NULL)
		return CERTAUTO__NEXT;
	return certauto__haproxy_ask(x, target, "show ssl cert", "show ssl cert");
}

/* The line of the answer that is path, alone or with the ending of a bundle. */
static int list_has_bundle(const certauto__exchange *x, const char *path)
{
	const char *line = certauto__exchange_answer(x, NULL);
	size_t len = strlen(path), rest;

	for (; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, path, len) != 0)
			continue;
		rest = strcspn(line + len, "\n");
		if (rest == 0 || (rest == 4 && strncmp(line + len, ".rsa", 4) == 0) ||
			(rest == 6 && strncmp(line + len, ".ecdsa", 6) == 0))
			return 1;
	}
	return 0;
}

static certauto__verdict certificates_read(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);

	if (list_has_bundle(x, certauto__option_text(target, "crt")))
		certauto__fact_set(job, ".known", "yes");
	return CERTAUTO__NEXT;
}

static certauto__verdict list_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *crt = certauto__option_text(target, "crt");

	if (crt == NULL || certauto__fact_own(job, ".known") != NULL)
		return CERTAUTO__NEXT;
	return certauto__haproxy_ask(x, target, "show ssl crt-list", "show ssl crt-list %.*s",
		(int)(strrchr(crt, '/') - crt), crt);
}

static certauto__verdict list_read(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);

	if (!certauto__haproxy_says(x, "didn't find"))
		return CERTAUTO__NEXT;
	return certauto__haproxy_unknown(job, target, certauto__option_text(target, "crt"));
}

static certauto__verdict map_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *map = certauto__option_text(target, "map");

	if (map == NULL)
		return CERTAUTO__NEXT;
	return certauto__haproxy_ask(x, target, "get map",
		"get map %s " CERTAUTO__HAPROXY_CHALLENGES "test", map);
}

static certauto__verdict map_read(certauto_job *job, certauto__exchange *x)
{
	if (certauto__haproxy_says(x, "Unknown map"))
		return certauto__haproxy_no_map(job, x);
	return CERTAUTO__NEXT;
}

static const struct certauto__step haproxy_test_steps[] = {
	{.name = "version", .ask = version_ask, .read = version_read, .flags = CERTAUTO__READS},
	{.name = "level", .ask = level_ask, .read = level_read, .flags = CERTAUTO__READS},
	{.name = "certificates",
		.ask = certificates_ask,
		.read = certificates_read,
		.flags = CERTAUTO__READS},
	{.name = "list", .ask = list_ask, .read = list_read, .flags = CERTAUTO__READS},
	{.name = "map", .ask = map_ask, .read = map_read, .flags = CERTAUTO__READS},
};

static const struct certauto__table haproxy_test = {
	.name = "haproxy-test",
	.steps = haproxy_test_steps,
	.n_steps = sizeof(haproxy_test_steps) / sizeof(haproxy_test_steps[0]),
};

const struct certauto__target_row certauto__target_haproxy = {
	.name = "haproxy",
	.caps = CERTAUTO_TARGET_HTTP01 | CERTAUTO_TARGET_DEPLOY,
	.options = haproxy_options,
	.check = haproxy_check,
	.peer = haproxy_peer,
	.present = &certauto__haproxy_present,
	.deploy = &certauto__haproxy_deploy,
	.test = &haproxy_test,
	.patience_ms = HAPROXY_PATIENCE_MS,
};
