/* SPDX-License-Identifier: Apache-2.0 */
/* A name server that takes dynamic updates (RFC 2136) signed by TSIG (RFC 8945): BIND, Knot,
 * PowerDNS. The update is made by nsupdate, a program of BIND's that every system has: the script
 * goes to its standard input, the key stays in its file.
 *
 * Facts: "sent": an update may have reached the server; "unsent": it has been refused for certain,
 * and no earlier one was sent, so there is nothing to take back. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <certauto/error.h>

#include "dns/dns.h"
#include "targets/folder.h"
#include "targets/targets.h"

#define STRING_MAX 255 /* RFC 1035 3.3.14: a TXT record is made of strings of that size */
#define SCRIPT_MAX (16 * 1024)
#define MARGIN_MS 1000 /* nsupdate tells more of a time-out than we do */

static const struct certauto__option rfc2136_options[] = {
	{.name = "server",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "name server that takes the updates, host or host:port; default: the one "
			"that the zone's SOA record names"},
	{.name = "zone",
		.type = CERTAUTO__OPTION_TEXT,
		.help = "zone the record is in; default: found by asking the server"},
	{.name = "key_file",
		.type = CERTAUTO__OPTION_PATH,
		.flags = CERTAUTO_OPTION_REQUIRED,
		.help = "TSIG key, a file as tsig-keygen writes it, that others can neither read "
			"nor replace; no link"},
	{.name = "ttl",
		.type = CERTAUTO__OPTION_NUMBER,
		.value = "60",
		.min = 0,
		.max = 86400,
		.help = "seconds that resolvers may keep the record"},
	{.name = "nsupdate",
		.type = CERTAUTO__OPTION_TEXT,
		.value = "nsupdate",
		.help = "the program nsupdate, if it is not found by its name"},
	{.name = NULL}};

/* ---- the script ---- */

/* A host of a command: a name or an address. */
static int is_host(const char *text)
{
	return text[0] != '\0' &&
		text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			"0123456789-_.:%")] == '\0';
}

static void put_text(certauto__buffer *out, const char *text)
{
	size_t i;

	for (i = 0; text[i] != '\0'; i++) {
		if (i % STRING_MAX == 0)
			certauto__buffer_text_add(out, i == 0 ? " \"" : "\" \"");
		if (text[i] == '"' || text[i] == '\\')
			certauto__buffer_text_add(out, "\\");
		certauto__buffer_add(out, &text[i], 1);
	}
	certauto__buffer_text_add(out, "\"\n");
}

/* "host:port" or "[::1]:port" in two words, no brackets. */
static int put_server(certauto__buffer *out, const certauto_target *target)
{
	const char *server = certauto__option_text(target, "server");
	char address[CERTAUTO__ADDRESS], *host = address, *port;

	if (server == NULL)
		return 0;
	if (certauto__address_format(address, server, 53) < 0)
		return CERTAUTO_EINVAL;
	port = strrchr(address, ':');
	*port++ = '\0';
	if (*host == '[') {
		host++;
		port[-2] = '\0';
	}
	certauto__buffer_printf(out, "server %s %s\n", host, port);
	return is_host(host) ? 0 : CERTAUTO_EINVAL;
}

static int put_place(certauto__buffer *out, const certauto_target *target)
{
	const char *zone = certauto__option_text(target, "zone");

	if (zone != NULL)
		certauto__buffer_printf(out, "zone %s\n", zone);
	return put_server(out, target);
}

static int rfc2136_check(certauto_target *target, certauto_error *err)
{
	const char *zone = certauto__option_text(target, "zone");
	certauto__buffer line = CERTAUTO__BUFFER(1024);
	int rc = put_server(&line, target);

	certauto__buffer_free(&line);
	if (rc < 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"server\": \"%.64s\" is not host:port", target->label,
			certauto__option_text(target, "server"));
	if (zone != NULL && !certauto__dns_owner_valid(zone))
		return certauto__error_set(err, CERTAUTO_EINVAL, target->label,
			"%s: option \"zone\": \"%.64s\" is not the name of a zone, without a dot "
			"at its end",
			target->label, zone);
	return 0;
}

/* ---- what nsupdate says ---- */

/* In the order they are looked for: the first that is in its output. definite: the server has
 * changed nothing. */
static const struct complaint {
	const char *words;
	int code, definite;
	const char *meaning, *advice;
} complaints[] = {
	{"BADKEY", CERTAUTO_EAUTH, 1, "the server does not know the key",
		"its name in key_file must be that of the server's configuration"},
	{"BADSIG", CERTAUTO_EAUTH, 1, "the server has another secret for the key",
		"key_file must be the file the server's configuration was made from, algorithm "
		"included"},
	{"BADTIME", CERTAUTO_EAUTH, 1, "the clocks differ",
		"TSIG allows five minutes: set this machine's clock, or the server's"},
	{"unsynchronized", CERTAUTO_EAUTH, 1, "the clocks differ",
		"TSIG allows five minutes: set this machine's clock, or the server's"},
	{"could not read key", CERTAUTO_ECONFIG, 1, "the key cannot be read",
		"key_file is a file as tsig-keygen writes it"},
	{"update failed: REFUSED", CERTAUTO_EPERM, 1, "the server does not let this key do that",
		"see \"certauto target recipe\" for what the server's configuration must grant"},
	{"NOTZONE", CERTAUTO_EINVAL, 1, "the record is not in that zone",
		"set the option zone to the zone the record is in, or leave it out"},
	{"NOTAUTH", CERTAUTO_ENOTFOUND, 1, "the server does not have that zone",
		"set the option server to the zone's primary, and zone to its name, or leave them "
		"out"},
	{"failed: REFUSED\ncould not reach", CERTAUTO_ENOTFOUND, 1,
		"the server has no zone with that name in it",
		"set the option server to the zone's primary"},
	{"NXDOMAIN", CERTAUTO_ENOTFOUND, 1, "no zone with that name is found",
		"set the option zone"},
	{"SERVFAIL", CERTAUTO_EREFUSED, 0, "the server failed", "its log says why"},
	{"NOTIMP", CERTAUTO_EUNSUPPORTED, 1, "the server takes no updates",
		"set the option server to the zone's primary"},
	{"couldn't get address", CERTAUTO_ENET, 1, "the server's name is not found",
		"set the option server to its address"},
	{"connection refused", CERTAUTO_ENET, 1, "nobody listens there",
		"is the name server running, and is server its host and port?"},
	{"timed out", CERTAUTO_ENET, 0, "no answer",
		"is the name server running, and is server its host and port?"},
	{"could not reach", CERTAUTO_ENET, 0, "no answer",
		"is the name server running, and is server its host and port?"},
};

static const struct complaint *complaint_of(const char *output)
{
	size_t i;

	for (i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++)
		if (strstr(output, complaints[i].words) != NULL)
			return &complaints[i];
	return NULL;
}

static void server_shown(certauto__buffer *out, const certauto_target *target)
{
	const char *server = certauto__option_text(target, "server");

	certauto__text_escape(out, server != NULL ? server : "the zone's primary",
		strlen(server != NULL ? server : "the zone's primary"));
}

/* An update that nothing came of. One that takes a value back is not noted: the value is still
 * there, as it is if an earlier one was sent. */
static void note_unsent(certauto_job *job)
{
	if (!certauto__undoing(job) && certauto__fact(job, ".again") == NULL)
		certauto__fact_set(job, "unsent", "yes");
}

/* nsupdate could not be run, or was ended by us, in the middle of what it did. */
static certauto__verdict not_run(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);

	certauto__error_prefix(&x->error, "%s", target->label);
	if (x->rc == CERTAUTO_ENOTFOUND)
		certauto__error_advise(&x->error, "it comes with BIND: on Debian install "
			"bind9-dnsutils; or set the option nsupdate");
	if (x->rc == CERTAUTO_ETIMEDOUT)
		certauto__error_advise(&x->error, "is the name server running, and is server its "
			"host and port? timeout_ms is how long it may take");
	else if (x->rc != CERTAUTO_EPROTO && x->rc != CERTAUTO_ENOMEM)
		note_unsent(job);
	return certauto__fail_with(job, &x->error);
}

static certauto__verdict update_failed(certauto_job *job, const certauto__exchange *x,
	const struct complaint *complaint)
{
	const certauto_target *target = certauto__job_env(job);
	certauto__buffer shown = CERTAUTO__BUFFER(4096), server = CERTAUTO__BUFFER(4096);
	certauto_error error = {0};
	const char *output;
	size_t len;

	output = certauto__exchange_answer(x, &len);
	while (len > 0 && (unsigned char)output[len - 1] <= ' ')
		len--;
	certauto__text_escape(&shown, output, len);
	server_shown(&server, target);
	certauto__error_set(&error, complaint != NULL ? complaint->code : CERTAUTO_EREFUSED,
		target->label, "%s: %s TXT at %s: %s: nsupdate ended with status %d: \"%s\"",
		target->label, certauto__buffer_text(&x->url), certauto__buffer_text(&server),
		complaint != NULL ? complaint->meaning : "it failed", x->status,
		certauto__buffer_text(&shown));
	if (complaint != NULL)
		certauto__error_advise(&error, "%s", complaint->advice);
	certauto__buffer_free(&shown);
	certauto__buffer_free(&server);
	return certauto__fail_with(job, &error);
}

static certauto__verdict update_read(certauto_job *job, certauto__exchange *x)
{
	const struct complaint *complaint;
	const char *output = certauto__exchange_answer(x, NULL);

	if (x->rc < 0)
		return not_run(job, x);
	complaint = complaint_of(output);
	/* Without its key it goes on, unsigned, and may end well. */
	if (x->status == 0 && (complaint == NULL || complaint->code != CERTAUTO_ECONFIG))
		return CERTAUTO__NEXT;
	/* Of several addresses another may have taken it. */
	if (x->status != 0 && complaint != NULL && complaint->definite &&
		strstr(output, "timed out") == NULL)
		note_unsent(job);
	return update_failed(job, x, complaint);
}

/* ---- running it ---- */

static certauto__verdict ask_nsupdate(certauto_job *job, certauto__exchange *x, const char *what,
	const char *object)
{
	const certauto_target *target = certauto__job_env(job);
	int64_t timeout_ms = certauto__option_number(target, "timeout_ms");
	const char *argv[] = {certauto__option_text(target, "nsupdate"), "-t", NULL, "-k",
		certauto__option_text(target, "key_file")};
	certauto__buffer seconds = CERTAUTO__BUFFER(32);
	certauto__verdict verdict = certauto__ask_proc(x);
	size_t i;
	int rc;

	certauto__buffer_printf(&seconds, "%lld", (long long)(timeout_ms + 999) / 1000);
	argv[0] = argv[0] != NULL ? argv[0] : "nsupdate";
	argv[2] = certauto__buffer_text(&seconds);
	rc = seconds.rc;
	for (i = 0; rc == 0 && i < sizeof(argv) / sizeof(argv[0]); i++)
		rc = certauto__list_add_text(&x->argv, argv[i]);
	certauto__buffer_free(&seconds);
	x->method = what;
	x->timeout_ms = timeout_ms + MARGIN_MS;
	certauto__buffer_init(&x->url, CERTAUTO__HTTP_URL_MAX);
	certauto__buffer_text_add(&x->url, object);
	certauto__buffer_init(&x->body, SCRIPT_MAX);
	if (rc < 0)
		x->body.rc = rc; /* stops the sending */
	return verdict;
}

/* The name ends with a dot: else nsupdate would put the zone behind it. */
static certauto__verdict ask_update(certauto_job *job, certauto__exchange *x, int is_add)
{
	const certauto_target *target = certauto__job_env(job);
	const char *record = certauto__fact(job, "record"), *txt = certauto__fact(job, "txt");
	certauto__verdict verdict;

	if (!certauto__planning(job) && (txt == NULL || !certauto__dns_text_valid(txt)))
		return certauto__fail(job, CERTAUTO_EINVAL, target->label,
			"%s: which TXT value is not told, or it is none: of several that one is "
			"changed", target->label);
	if (record == NULL || !certauto__dns_owner_valid(record))
		return certauto__fail(job, CERTAUTO_EINVAL, target->label,
			"%s: the name of the record has characters that none may have",
			target->label);
	verdict = ask_nsupdate(job, x, is_add ? "add to" : "delete from", record);
	put_place(&x->body, target);
	if (is_add)
		certauto__buffer_printf(&x->body, "update add %s. %lld TXT", record,
			(long long)certauto__option_number(target, "ttl"));
	else
		certauto__buffer_printf(&x->body, "update delete %s. TXT", record);
	put_text(&x->body, txt != NULL ? txt : "");
	certauto__buffer_text_add(&x->body, "send\n");
	return verdict;
}

static certauto__verdict add_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, "sent") != NULL)
		certauto__fact_set(job, ".again", "yes");
	certauto__fact_set(job, "sent", "yes");
	certauto__fact_set(job, "unsent", NULL);
	return ask_update(job, x, 1);
}

static certauto__verdict add_undo(certauto_job *job, certauto__exchange *x)
{
	return certauto__fact_own(job, "unsent") != NULL ? CERTAUTO__NEXT : ask_update(job, x, 0);
}

/* ---- before anything is changed ---- */

static int key_look(const certauto_target *target, const char *path, int flags, struct stat *st,
	certauto_error *err)
{
	int rc;

	if (fstatat(AT_FDCWD, path, st, flags) == 0)
		return 0;
	rc = certauto__error_errno(err, errno, path, "cannot look at key_file");
	certauto__error_prefix(err, "%s: %s", target->label, path);
	return rc;
}

/* The file, or the folder it is in: nobody but us and root owns it, and can change it. */
static int key_place_check(const certauto_target *target, const char *path, const struct stat *st,
	mode_t forbidden, const char *fix, certauto_error *err)
{
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return certauto__error_set(err, CERTAUTO_EPERM, path,
			"%s: %s belongs to user %ld, not to this one or root", target->label, path,
			(long)st->st_uid);
	if ((st->st_mode & forbidden) == 0)
		return 0;
	certauto__error_set(err, CERTAUTO_EPERM, path,
		"%s: %s: mode %04o lets others use the key, or put another there", target->label,
		path, (unsigned)(st->st_mode & 07777));
	return certauto__error_advise(err, "chmod %s %s", fix, path);
}

/* In a folder as /tmp nobody replaces what is ours. */
static int key_folder_check(const certauto_target *target, const char *path, certauto_error *err)
{
	const char *slash = strrchr(path, '/');
	certauto__buffer folder = CERTAUTO__BUFFER(PATH_MAX);
	struct stat st;
	int rc;

	certauto__buffer_add(&folder, path, slash > path ? (size_t)(slash - path) : 1);
	if ((rc = folder.rc) < 0)
		certauto__error_set(err, rc, path, "%s", certauto_error_text(rc));
	else if ((rc = key_look(target, folder.data, 0, &st, err)) == 0)
		rc = key_place_check(target, folder.data, &st,
			st.st_mode & S_ISVTX ? 0 : S_IWGRP | S_IWOTH, "go-w", err);
	certauto__buffer_free(&folder);
	return rc;
}

/* nsupdate itself does not mind who can read the key. The group may: it is the name server's. */
static int key_check(const certauto_target *target, certauto_error *err)
{
	const char *path = certauto__option_text(target, "key_file");
	struct stat st;
	int rc;

	if ((rc = key_look(target, path, AT_SYMLINK_NOFOLLOW, &st, err)) < 0)
		return rc;
	if (!S_ISREG(st.st_mode)) {
		certauto__error_set(err, CERTAUTO_EPERM, path, "%s: %s is %s", target->label, path,
			S_ISLNK(st.st_mode) ? "a link" : "no regular file");
		return certauto__error_advise(err, "set key_file to the file itself");
	}
	if ((rc = key_place_check(
		     target, path, &st, S_IWGRP | CERTAUTO__OTHERS, "0600", err)) < 0)
		return rc;
	return key_folder_check(target, path, err);
}

static certauto__verdict key_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);

	(void)x;
	return key_check(target, certauto__job_error_of(job)) < 0 ? CERTAUTO__FAILED
								   : CERTAUTO__NEXT;
}

/* Without a zone there is no name to ask the server about. A prerequisite that holds for every
 * zone, and no update behind it, is signed and sent as one. */
static certauto__verdict server_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = certauto__job_env(job);
	const char *zone = certauto__option_text(target, "zone");
	certauto__verdict verdict = ask_nsupdate(job, x, "ask about", zone != NULL ? zone : "");

	if (zone == NULL) {
		if (certauto__list_add_text(&x->argv, "-V") < 0)
			x->body.rc = CERTAUTO_ENOMEM;
		certauto__warn(job, target->label, "%s: only that nsupdate can be run was tested: "
			"set the option zone to have the server asked", target->label);
		return verdict;
	}
	put_place(&x->body, target);
	certauto__buffer_printf(&x->body, "prereq yxdomain %s\nsend\n", zone);
	return verdict;
}

static const struct certauto__step rfc2136_present_steps[] = {
	{.name = "key", .ask = key_ask, .flags = CERTAUTO__READS},
	CERTAUTO__STEP_DNS_DELEGATION,
	{.name = "add",
		.ask = add_ask,
		.read = update_read,
		.undo = add_undo,
		.undo_read = update_read,
		.flags = CERTAUTO__ERRORS | CERTAUTO__HALVES},
	CERTAUTO__STEP_DNS_SEEN,
};

static const struct certauto__table rfc2136_present = {
	.name = "rfc2136-present",
	.steps = rfc2136_present_steps,
	.n_steps = sizeof(rfc2136_present_steps) / sizeof(rfc2136_present_steps[0]),
};

static const struct certauto__step rfc2136_test_steps[] = {
	{.name = "key", .ask = key_ask, .flags = CERTAUTO__READS},
	{.name = "server",
		.ask = server_ask,
		.read = update_read,
		.flags = CERTAUTO__READS | CERTAUTO__ERRORS},
};

static const struct certauto__table rfc2136_test = {
	.name = "rfc2136-test",
	.steps = rfc2136_test_steps,
	.n_steps = sizeof(rfc2136_test_steps) / sizeof(rfc2136_test_steps[0]),
};

/* ---- the recipe ---- */

static int rfc2136_recipe(const certauto_target *target, certauto__buffer *out, certauto_error *err)
{
	const char *zone = certauto__option_text(target, "zone"),
		   *path = certauto__option_text(target, "key_file");

	zone = zone != NULL ? zone : "example.org";
	path = path != NULL ? path : "/etc/certauto/tsig.key";
	certauto__buffer_printf(out,
		"# 1. The key, on the name server; its file goes to this machine, too: mode 0600.\n"
		"(umask 077; tsig-keygen -a hmac-sha256 certauto > %s)\n"
		"chgrp bind %s && chmod 0640 %s\n"
		"\n"
		"# 2a. BIND, named.conf: TXT records at _acme-challenge, nothing else. One line\n"
		"#     for each name; or all names: grant certauto wildcard *.%s. TXT;\n"
		"include \"%s\";\n"
		"zone \"%s\" {\n"
		"    ...\n"
		"    update-policy { grant certauto name _acme-challenge.%s. TXT; };\n"
		"};\n"
		"\n"
		"# 2b. Knot, knot.conf: the same secret under key:, then\n"
		"acl:\n"
		"  - id: certauto\n"
		"    key: certauto\n"
		"    action: update\n"
		"    update-type: [TXT]\n"
		"    update-owner: name\n"
		"    update-owner-match: equal\n"
		"    update-owner-name: [_acme-challenge, _acme-challenge.www]\n"
		"zone:\n"
		"  - domain: %s\n"
		"    acl: certauto\n"
		"\n"
		"# 2c. PowerDNS: dnsupdate=yes in pdns.conf, then, ADDRESS being this machine's\n"
		"pdnsutil import-tsig-key certauto hmac-sha256 SECRET\n"
		"pdnsutil set-meta %s TSIG-ALLOW-DNSUPDATE certauto\n"
		"pdnsutil set-meta %s ALLOW-DNSUPDATE-FROM ADDRESS\n",
		path, path, path, zone, path, zone, zone, zone, zone, zone);
	return out->rc < 0 ? certauto__error_nomem(err) : 0;
}

const struct certauto__target_row certauto__target_rfc2136 = {
	.name = "rfc2136",
	.caps = CERTAUTO_TARGET_DNS01,
	.options = rfc2136_options,
	.check = rfc2136_check,
	.present = &rfc2136_present,
	.test = &rfc2136_test,
	.recipe = rfc2136_recipe,
};
