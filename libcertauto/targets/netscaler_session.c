/* SPDX-License-Identifier: Apache-2.0 */
/* The session with a NetScaler, shared by all jobs that have to do with one device, user and
 * partition. It is opened by one silent job for all comers, who are parked until it has ended: it
 * logs in, follows the primary of a pair, switches the partition. A refused login is not tried
 * again in a run: devices lock accounts for that. */

#include "targets/netscaler.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "json/reader.h"
#include "targets/device.h"
#include "targets/gate.h"

#define WIDTH 4            /* requests at a time: the management CPU is one */
#define SESSION_S 900      /* of idleness, then the device forgets it; 300 at least */
#define ELECTION_MS 10000  /* a pair without a primary: it is changing over */
#define ELECTION_LOOK_MS 500
#define SILENT_NODE 2      /* requests without an answer: then the other node is tried */
#define TOKEN_NAME "NITRO_AUTH_TOKEN="

struct session {
	certauto__peer *peer;          /* borrowed: it owns this */
	certauto_target *target;       /* shared (+1): url, user, password, TLS */
	int headers;                   /* name and password with each call: no session */
	certauto__secret *token;       /* NULL: not logged in */
	certauto__secret *leaving;     /* of a session that is being logged out */
	struct certauto__gate gate;
	int pair;
	char node[CERTAUTO__ADDRESS];  /* connected to; "": as the url says */
	char other[CERTAUTO__ADDRESS]; /* the other one of the pair; "": not known */
};

static struct session *session_of(const certauto_job *job)
{
	return certauto__job_peer(job)->state;
}

/* The jobs of this file hang on the session itself. */
static int is_own(const certauto_job *job)
{
	return certauto__job_env(job) == session_of(job);
}

static int is_option(const struct session *session, const char *name, const char *value)
{
	return certauto__text_equal(certauto__option_text(session->target, name), value);
}

static void token_drop(certauto__secret **token)
{
	certauto__secret_free(*token);
	*token = NULL;
}

static void session_drop(struct session *session)
{
	token_drop(&session->token);
	session->gate.ready = 0;
}

static void own_error(const certauto_job *job, const certauto__exchange *x, const char *doing,
	certauto_error *error)
{
	const certauto_target *target = session_of(job)->target;

	certauto__netscaler_tell(error, x, target, target->label, doing);
}

static int is_among(int code, const short *codes, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (codes[i] == code)
			return 1;
	}
	return 0;
}

/* ---- opening: login ---- */

static certauto__verdict login_ask(certauto_job *job, certauto__exchange *x)
{
	const struct session *session = session_of(job);
	const certauto_target *target = session->target;
	certauto__json w;

	if (session->token != NULL || session->headers)
		return CERTAUTO__NEXT;
	certauto__netscaler_post(&w, x, target, "login", NULL);
	certauto__json_put_text(&w, "username", certauto__option_text(target, "user"));
	certauto__json_put_text(&w, "password", certauto__option_text(target, "password"));
	certauto__json_put_number(&w, "timeout", SESSION_S);
	return certauto__netscaler_end(&w);
}

/* Lost already: as good as not begun. A device that forgets them all as fast as that is not asked
 * for a third. */
static int is_lost(certauto_job *job, const certauto__exchange *x)
{
	struct session *session = session_of(job);
	int code = x->rc == 0 ? certauto__netscaler_code(x) : 0;

	if ((code != CERTAUTO__NS_SESSION_GONE && code != CERTAUTO__NS_NOT_LOGGED_IN) ||
		session->token == NULL)
		return 0;
	session_drop(session);
	if (certauto__fact_own(job, ".lost") != NULL)
		return 0;
	certauto__fact_set(job, ".lost", "yes");
	return 1;
}

/* Who asks is not known, or not any more. The status alone does not tell: a missing right may have
 * the same. */
static int is_denied(int code)
{
	static const short codes[] = {352, 353, CERTAUTO__NS_BAD_LOGIN, CERTAUTO__NS_BAD_LOGIN_TOO,
		CERTAUTO__NS_SESSION_GONE, CERTAUTO__NS_NOT_LOGGED_IN, 1244};

	return is_among(code, codes, sizeof(codes) / sizeof(codes[0]));
}

static certauto__verdict login_refused(certauto_job *job, const certauto__exchange *x)
{
	struct session *session = session_of(job);
	certauto_error error = {0};

	own_error(job, x, "logging in", &error);
	if (x->rc == 0 && (error.code == CERTAUTO_EAUTH || x->status == 401)) {
		error.code = CERTAUTO_EAUTH;
		session_drop(session);
		certauto__gate_refuse(&session->gate, &error);
	}
	return certauto__fail_with(job, &error);
}

/* A header's value: what would end it, or the cookie, cannot be part of a token. */
static int token_take(struct session *session, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f ||
			text[i] == ';')
			return CERTAUTO_EPROTO;
	}
	return len > 0 ? certauto__secret_new(&session->token, text, len) : CERTAUTO_EPROTO;
}

static int token_cb(void *arg, const certauto__json_value *value)
{
	if (value->type != CERTAUTO__JSON_STRING || !certauto__json_is(value, "sessionid"))
		return 0;
	return token_take(arg, value->text, value->len);
}

/* As a cookie; older devices say it in the body only. */
static int token_read(struct session *session, const certauto__exchange *x)
{
	const char *text;
	size_t i, len;
	int rc;

	for (i = 0; (text = certauto__transfer_header(x->transfer, "Set-Cookie", i)) != NULL; i++) {
		if (!certauto__text_starts(text, TOKEN_NAME))
			continue;
		text += strlen(TOKEN_NAME);
		return token_take(session, text, strcspn(text, "; "));
	}
	text = certauto__exchange_answer(x, &len);
	rc = certauto__json_read("login", text, len, &certauto__json_limits_device, token_cb,
		session, NULL);
	return rc < 0 || session->token != NULL ? rc : CERTAUTO_EPROTO;
}

static certauto__verdict login_read(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	certauto_error error = {0};
	int rc;

	if (x->rc < 0 || certauto__netscaler_code(x) != 0)
		return login_refused(job, x);
	if ((rc = token_read(session, x)) == 0)
		return CERTAUTO__NEXT;
	certauto__error_set(&error, rc, session->target->label,
		"the answer to the login has no session in it");
	certauto__device_sign(&error, session->target);
	return certauto__fail_with(job, &error);
}

/* ---- opening: which node ---- */

struct nodes {
	int n;
	char state[32];                /* of the one that was asked: it comes first */
	char primary[64], other[64];   /* addresses of others: of the primary, of the last */
};

static int nodes_cb(void *arg, const char *const *values)
{
	const char *state = values[0] != NULL ? values[0] : "";
	struct nodes *nodes = arg;

	if (nodes->n++ == 0) {
		(void)snprintf(nodes->state, sizeof(nodes->state), "%s", state);
	} else if (values[1] != NULL && certauto__ip_check(values[1])) {
		(void)snprintf(nodes->other, sizeof(nodes->other), "%s", values[1]);
		if (certauto__text_equal_nocase(state, "Primary"))
			memcpy(nodes->primary, nodes->other, sizeof(nodes->primary));
	}
	return 0;
}

/* At the port of the URL: both nodes are configured alike. */
static void node_address(const struct session *session, char out[CERTAUTO__ADDRESS], const char *ip)
{
	certauto__buffer host = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	int is_ipv6 = strchr(ip, ':') != NULL, port = 0;

	(void)certauto__url_host(certauto__option_text(session->target, "url"), &host, &port);
	certauto__buffer_free(&host);
	(void)snprintf(out, CERTAUTO__ADDRESS, "%s%s%s:%d", is_ipv6 ? "[" : "", ip,
		is_ipv6 ? "]" : "", port);
}

static int nodes_read(struct session *session, const certauto__exchange *x, struct nodes *nodes,
	certauto_error *err)
{
	static const char *const fields[] = {"state", "ipaddress", NULL};
	int rc;

	memset(nodes, 0, sizeof(*nodes));
	if ((rc = certauto__netscaler_rows(x, "hanode", fields, nodes_cb, nodes, err)) < 0)
		return rc;
	if (nodes->n > 0)
		session->pair = nodes->n > 1;
	if (nodes->other[0] != '\0')
		node_address(session, session->other, nodes->other);
	return 0;
}

/* A device that says nothing of a state has no partner. */
static int nodes_here(const struct nodes *nodes)
{
	return nodes->state[0] == '\0' || certauto__text_equal_nocase(nodes->state, "Primary");
}

static certauto__verdict node_ask(certauto_job *job, certauto__exchange *x)
{
	const struct session *session = session_of(job);

	/* Where there is no login this is the call that shows whether the password is right. */
	if (is_option(session, "ha", "ignore") && !session->headers)
		return CERTAUTO__NEXT;
	return certauto__netscaler_get(x, session->target, "hanode", NULL, NULL);
}

static certauto__verdict node_wrong(certauto_job *job, const struct nodes *nodes)
{
	const struct session *session = session_of(job);
	certauto__buffer state = CERTAUTO__BUFFER(8 * sizeof(nodes->state));
	certauto_error error = {0};

	if (nodes->primary[0] != '\0' && is_option(session, "ha", "follow")) {
		certauto__fact_set(job, ".primary", nodes->primary);
		return CERTAUTO__NEXT;
	}
	if (is_option(session, "ha", "follow") && certauto__step_age_ms(job) < ELECTION_MS)
		return certauto__again(job, ELECTION_LOOK_MS);
	certauto__text_escape(&state, nodes->state, strlen(nodes->state));
	certauto__error_set(&error, is_option(session, "ha", "follow") ? CERTAUTO_EBUSY :
		CERTAUTO_EREFUSED, session->target->label,
		"this node is \"%s\", not the primary%s", certauto__buffer_text(&state),
		nodes->primary[0] != '\0' ? "" : ", and no other one is");
	certauto__buffer_free(&state);
	certauto__device_sign(&error, session->target);
	certauto__error_advise(&error, "what is written to it is lost: %s",
		is_option(session, "ha", "follow") ? "see what the pair is at (show ha node)" :
		"name the primary's address as url, or set ha to follow");
	return certauto__fail_with(job, &error);
}

static certauto__verdict node_read(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	certauto_error error = {0};
	struct nodes nodes;

	if (is_lost(job, x))
		return certauto__goto(job, "login");
	if (x->rc < 0 || is_denied(certauto__netscaler_code(x)))
		return login_refused(job, x);
	/* No right to ask is no reason to do nothing: the test tells of it. */
	if (certauto__netscaler_code(x) != 0 || is_option(session, "ha", "ignore"))
		return CERTAUTO__NEXT;
	if (nodes_read(session, x, &nodes, &error) < 0)
		return certauto__fail_with(job, &error);
	return nodes_here(&nodes) ? CERTAUTO__NEXT : node_wrong(job, &nodes);
}

/* ---- logging out, of this node or for good ---- */

static certauto__verdict logout_ask(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	certauto__verdict verdict;
	certauto__json w;

	if (session->token != NULL) {
		certauto__secret_free(session->leaving);
		session->leaving = session->token;
		session->token = NULL;
	}
	session->gate.ready = 0; /* who comes now logs in anew */
	certauto__netscaler_post(&w, x, session->target, "logout", NULL);
	verdict = certauto__netscaler_end(&w);
	x->dress_arg = session;
	return verdict;
}

static certauto__verdict logout_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	token_drop(&session_of(job)->leaving);
	return CERTAUTO__NEXT;
}

static certauto__verdict leave_moved(certauto_job *job)
{
	struct session *session = session_of(job);

	node_address(session, session->node, certauto__fact_own(job, ".primary"));
	certauto__fact_set(job, ".primary", NULL);
	return certauto__goto(job, "login");
}

static certauto__verdict leave_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__fact_own(job, ".primary") == NULL)
		return CERTAUTO__NEXT;
	return session_of(job)->token != NULL ? logout_ask(job, x) : leave_moved(job);
}

static certauto__verdict leave_read(certauto_job *job, certauto__exchange *x)
{
	logout_read(job, x);
	return leave_moved(job);
}

/* ---- opening: partition ---- */

static certauto__verdict partition_ask(certauto_job *job, certauto__exchange *x)
{
	const struct session *session = session_of(job);
	const char *partition = certauto__option_text(session->target, "partition");
	certauto__json w;

	if (partition == NULL)
		return CERTAUTO__NEXT;
	certauto__netscaler_post(&w, x, session->target, "nspartition", "Switch");
	certauto__json_put_text(&w, "partitionname", partition);
	return certauto__netscaler_end(&w);
}

static certauto__verdict partition_read(certauto_job *job, certauto__exchange *x)
{
	const char *partition = certauto__option_text(session_of(job)->target, "partition");
	certauto_error error = {0};
	char doing[300];

	if (x->rc == 0 && certauto__netscaler_code(x) == 0)
		return CERTAUTO__NEXT;
	if (is_lost(job, x))
		return certauto__goto(job, "login");
	(void)snprintf(doing, sizeof(doing), "switching to the partition %.200s", partition);
	own_error(job, x, doing, &error);
	return certauto__fail_with(job, &error);
}

static const struct certauto__step open_steps[] = {
	{.name = "login", .ask = login_ask, .read = login_read, .flags = CERTAUTO__ERRORS},
	{.name = "node", .ask = node_ask, .read = node_read, .flags = CERTAUTO__ERRORS},
	{.name = "leave", .ask = leave_ask, .read = leave_read, .flags = CERTAUTO__ANYHOW},
	{.name = "partition",
		.ask = partition_ask,
		.read = partition_read,
		.flags = CERTAUTO__ERRORS},
};

static const struct certauto__table open_table = {
	.name = "netscaler-open",
	.steps = open_steps,
	.n_steps = sizeof(open_steps) / sizeof(open_steps[0]),
};

static void session_opened(certauto_job *job, void *arg)
{
	const certauto_error *error = certauto_job_error(job);
	struct session *session = arg;

	/* With a node that is gone there is no session, and the next one does not begin there. */
	if (error != NULL &&
		(error->code == CERTAUTO_ENET || error->code == CERTAUTO_ETIMEDOUT)) {
		session->node[0] = '\0';
		session_drop(session);
	}
	certauto__gate_opened(job, &session->gate);
}

static certauto__verdict session_need(certauto_job *job, struct session *session)
{
	struct certauto__start start = {.table = &open_table,
		.name = session->target->label,
		.env = session,
		.peer = session->peer,
		.ended = session_opened,
		.ended_arg = session};

	return certauto__gate_need(job, &session->gate, &start);
}

/* ---- each call ---- */

/* A node of a pair that is not the primary says so only where warnings are wanted. */
static void warnings_want(certauto__exchange *x)
{
	const char *url = certauto__buffer_text(&x->url);

	if (strcmp(x->method, "GET") != 0 && strstr(url, "warning=yes") == NULL)
		certauto__buffer_printf(&x->url, "%cwarning=yes",
			strchr(url, '?') != NULL ? '&' : '?');
}

static certauto__verdict session_dress(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	const certauto_target *target = session->target;
	const certauto__secret *token = session->token;

	if (!is_own(job)) {
		certauto__gate_warn(job, &session->gate, target);
		if (!session->gate.ready)
			return session_need(job, session);
		x->dress_arg = (const void *)session->gate.serial;
		if (session->pair)
			warnings_want(x);
	} else if (x->dress_arg != NULL) {
		token = session->leaving;
	}
	certauto__device_headers_clear(x); /* of an earlier attempt */
	x->connect_to = session->node[0] != '\0' ? session->node : NULL;
	if (x->body.len > 0)
		certauto__exchange_add_header(x, "Content-Type: application/json");
	if (session->headers) {
		certauto__exchange_add_header(x, "X-NITRO-USER: %s",
			certauto__option_text(target, "user"));
		certauto__exchange_add_header(x, "X-NITRO-PASS: %s",
			certauto__option_text(target, "password"));
	} else if (token != NULL) {
		certauto__exchange_add_header(x, "Cookie: " TOKEN_NAME "%s",
			certauto__secret_text(token));
	}
	return CERTAUTO__SEND;
}

/* The primary may have died, and its partner not said so yet. */
static void node_doubt(struct session *session, const certauto_job *job)
{
	if (is_own(job) || session->other[0] == '\0' || !is_option(session, "ha", "follow") ||
		session->peer->silent < SILENT_NODE)
		return;
	memcpy(session->node, session->other, sizeof(session->node));
	session->other[0] = '\0';
	session_drop(session);
}

/* Whose the errors of a job are. */
static const certauto_target *told_of(const certauto_job *job)
{
	return is_own(job) ? session_of(job)->target : certauto__netscaler_target(job);
}

static void judge_tell(const certauto_job *job, certauto__exchange *x)
{
	certauto__buffer doing = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 16);

	certauto__buffer_printf(&doing, "%s %s", x->method, certauto__buffer_text(&x->url));
	certauto__netscaler_tell(&x->error, x, told_of(job), certauto__buffer_text(&x->url),
		certauto__buffer_text(&doing));
	certauto__buffer_free(&doing);
}

/* It has nothing to do with what was asked, and passes. */
static int is_passing(int code)
{
	static const short codes[] = {268, 272, 291, 366, CERTAUTO__NS_SESSION_LIMIT,
		CERTAUTO__NS_CONNECTION_LIMIT, 1204};

	return is_among(code, codes, sizeof(codes) / sizeof(codes[0]));
}

static int is_secondary_code(int code)
{
	return code == CERTAUTO__NS_NO_RIGHT || code == CERTAUTO__NS_PRIMARY_ONLY ||
		code == CERTAUTO__NS_SECONDARY;
}

/* The other node has become the primary. What must see how things stand there first has noted the
 * node, and is told; all other calls are as good there: also to take something back. */
static int is_moved(const certauto_job *job, int code)
{
	return !is_own(job) && session_of(job)->pair && is_secondary_code(code) &&
		(certauto__undoing(job) || certauto__fact_own(job, ".node") == NULL);
}

/* Unless another job has done so since. */
static void session_reopen(struct session *session, const certauto__exchange *x)
{
	if (!certauto__gate_is_former(&session->gate, (uintptr_t)x->dress_arg))
		session->gate.ready = 0;
}

static certauto__judgement judge_no(certauto_job *job, certauto__exchange *x, int code)
{
	struct session *session = session_of(job);
	int is_gone = is_denied(code);

	judge_tell(job, x);
	if (is_moved(job, code)) {
		session_reopen(session, x);
		return CERTAUTO__RELOGIN;
	}
	if (is_gone && session->headers && !is_own(job)) {
		certauto__gate_refuse(&session->gate, &x->error);
		session->gate.ready = 0;
		return CERTAUTO__BAD;
	}
	if (is_gone && !is_own(job)) {
		/* Another job may have logged in again since. */
		if (!certauto__gate_is_former(&session->gate, (uintptr_t)x->dress_arg))
			session_drop(session);
		return CERTAUTO__RELOGIN;
	}
	if (is_passing(code) || (x->status >= 500 && x->status < 599))
		return CERTAUTO__SOON;
	return CERTAUTO__BAD;
}

static certauto__judgement session_judge(certauto_job *job, certauto__exchange *x)
{
	certauto__judgement judgement = certauto__judge_http(job, x);
	int code;

	if (x->rc < 0) {
		certauto__device_silence(job, x, told_of(job));
		node_doubt(session_of(job), job);
		return judgement;
	}
	code = certauto__netscaler_code(x);
	if (judgement == CERTAUTO__LATER ||
		(judgement == CERTAUTO__OK && (code == 0 || x->status > 299)))
		return judgement;
	return judge_no(job, x, code);
}

/* ---- the peer ---- */

static const struct certauto__step logout_steps[] = {
	{.name = "logout", .ask = logout_ask, .read = logout_read, .flags = CERTAUTO__ANYHOW},
};

static const struct certauto__table logout_table = {
	.name = "netscaler-logout",
	.steps = logout_steps,
	.n_steps = 1,
};

static const struct certauto__table *session_farewell(certauto__peer *peer)
{
	struct session *session = peer->state;

	certauto__gate_forget(&session->gate);
	return session->token != NULL && !session->gate.opening ? &logout_table : NULL;
}

static void session_destroy(certauto__peer *peer)
{
	struct session *session = peer->state;

	if (session == NULL)
		return;
	token_drop(&session->token);
	token_drop(&session->leaving);
	certauto__gate_forget(&session->gate);
	certauto__object_unref(session->target);
	certauto__free(session);
	peer->state = NULL;
}

static const struct certauto__peer_ops session_ops = {
	.kind = "netscaler",
	.dress = session_dress,
	.judge = session_judge,
	.destroy = session_destroy,
	.farewell = session_farewell,
};

int certauto__netscaler_peer(certauto_target *target, certauto__peer **out, certauto_error *err)
{
	static const char *const names[] = {"url", "user", "password", "partition", "auth", "ha",
		"ca_file", "pin", "insecure", NULL};
	struct session *session = certauto__alloc(sizeof(*session));
	certauto__peer *peer = NULL;
	int rc = session != NULL ? 0 : certauto__error_nomem(err);

	if (rc == 0)
		rc = certauto__device_peer(&peer, target, &session_ops, names, WIDTH, err);
	if (rc == 0 && peer->state == NULL) {
		session->peer = peer;
		session->target = certauto__object_ref(target);
		session->headers = certauto__text_equal(certauto__option_text(target, "auth"),
			"headers");
		peer->state = session;
		session = NULL;
	}
	if (rc == 0)
		*out = peer;
	certauto__free(session);
	return rc;
}

/* ---- for the steps of others ---- */

void certauto__netscaler_node_note(certauto_job *job)
{
	certauto__fact_set(job, ".node", session_of(job)->node);
}

int certauto__netscaler_moved(const certauto_job *job)
{
	const char *node = certauto__fact_own(job, ".node");

	return node != NULL && !certauto__text_equal(node, session_of(job)->node);
}

int certauto__netscaler_is_pair(const certauto_job *job)
{
	return session_of(job)->pair;
}

certauto__verdict certauto__netscaler_role_ask(certauto_job *job, certauto__exchange *x)
{
	if (certauto__netscaler_moved(job))
		return certauto__goto(job, "observe");
	if (!certauto__netscaler_is_pair(job))
		return CERTAUTO__NEXT;
	return certauto__netscaler_get(x, certauto__netscaler_target(job), "hanode", NULL, NULL);
}

certauto__verdict certauto__netscaler_role_read(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	certauto_error error = {0};
	struct nodes nodes;

	if (nodes_read(session, x, &nodes, &error) < 0)
		return certauto__fail_with(job, &error);
	if (nodes_here(&nodes))
		return CERTAUTO__NEXT;
	session_reopen(session, x); /* and it finds the primary */
	return certauto__goto(job, "observe");
}

/* A write that only the other node takes: once, for a right may be missing as well. */
static int is_secondary(certauto_job *job, const certauto__exchange *x)
{
	return session_of(job)->pair && !certauto__undoing(job) &&
		certauto__fact_own(job, ".node") != NULL &&
		certauto__fact_own(job, ".sent_back") == NULL &&
		is_secondary_code(certauto__netscaler_code(x));
}

certauto__verdict certauto__netscaler_refused(certauto_job *job, const certauto__exchange *x,
	const char *object, const char *doing)
{
	certauto_error error = {0};

	if (x->rc == 0 && is_secondary(job, x)) {
		certauto__fact_set(job, ".sent_back", "yes");
		session_reopen(session_of(job), x);
		return certauto__goto(job, "observe");
	}
	certauto__netscaler_tell(&error, x, certauto__netscaler_target(job), object, doing);
	return certauto__fail_with(job, &error);
}

int certauto__netscaler_role(const certauto_job *job, const char **node_out)
{
	const struct session *session = session_of(job);

	*node_out = session->other;
	return session->pair;
}
