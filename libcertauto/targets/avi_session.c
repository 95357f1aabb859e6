/* SPDX-License-Identifier: Apache-2.0 */
/* The session with an Avi controller, shared by all jobs that have to do with one controller, user
 * and tenant. It is opened by one silent job for all comers, who are parked until it has ended. A
 * refused login is not tried again in a run: accounts get locked for that. */

#include "targets/avi.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "json/reader.h"
#include "targets/device.h"
#include "targets/gate.h"

#define WIDTH 8            /* requests at a time */
#define VERSION_MAX 32
#define COOKIE_MAX 64      /* bytes of its name */
#define VAIN_MAX 2         /* sessions in a row that no call came through in */
#define TENANTS_SHOWN 2048
#define OLDEST_KNOWN "20.1.1" /* of a controller that does not say what it is */

struct cookies {
	certauto__secret *id;          /* NULL: not logged in */
	certauto__secret *csrf;
	char name[COOKIE_MAX];         /* of the cookie with the id */
};

struct session {
	certauto__peer *peer;          /* borrowed: it owns this */
	certauto_target *target;       /* shared (+1): url, user, password, TLS */
	struct cookies cookies;
	struct cookies leaving;        /* of a session that is being logged out */
	struct certauto__gate gate;    /* its serial counts sessions and their tokens */
	uintptr_t begun;               /* the serial that this session began with */
	char version[VERSION_MAX], oldest[VERSION_MAX]; /* as the controller says; "" */
	char speaks[VERSION_MAX];      /* X-Avi-Version */
	char doubted[VERSION_MAX];     /* a version of its own that it has refused */
	int asked;                     /* certauto__avi_first() was */
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

static void cookies_drop(struct cookies *cookies)
{
	certauto__secret_free(cookies->id);
	certauto__secret_free(cookies->csrf);
	memset(cookies, 0, sizeof(*cookies));
}

static void session_drop(struct session *session)
{
	cookies_drop(&session->cookies);
	session->gate.ready = 0;
}

static void session_refuse(struct session *session, const certauto_error *error)
{
	session_drop(session);
	certauto__gate_refuse(&session->gate, error);
}

/* ---- versions ---- */

size_t certauto__avi_version_parse(struct certauto__avi_version *out, const char *text)
{
	size_t i, len, at = 0;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < sizeof(out->parts) / sizeof(out->parts[0]); i++) {
		len = strspn(text + at, "0123456789");
		if (len == 0 || len > 6)
			break;
		for (; len > 0; len--)
			out->parts[i] = out->parts[i] * 10 + (text[at++] - '0');
		if (text[at] != '.')
			return i > 0 ? at : 0;
		at++;
	}
	return i > 1 && at > 0 ? at - 1 : 0;
}

static int version_compare(const char *a, const char *b)
{
	struct certauto__avi_version one, other;
	size_t i, n = sizeof(one.parts) / sizeof(one.parts[0]);

	certauto__avi_version_parse(&one, a);
	certauto__avi_version_parse(&other, b);
	for (i = 0; i < n && one.parts[i] == other.parts[i]; i++)
		;
	return i < n ? one.parts[i] - other.parts[i] : 0;
}

static void version_take(char out[VERSION_MAX], const char *text)
{
	struct certauto__avi_version version;
	size_t len = certauto__avi_version_parse(&version, text);

	(void)snprintf(out, VERSION_MAX, "%.*s", (int)len, text);
}

/* What is spoken, or a refusal of what the option wants. */
static int version_settle(struct session *session, certauto_error *err)
{
	const char *wanted = certauto__option_text(session->target, "api_version");
	const char *speaks = session->version;

	if (wanted == NULL) {
		if (*speaks == '\0' || strcmp(speaks, session->doubted) == 0)
			speaks = *session->oldest != '\0' ? session->oldest : OLDEST_KNOWN;
		memcpy(session->speaks, speaks, strlen(speaks) + 1);
		return 0;
	}
	version_take(session->speaks, wanted);
	if ((*session->version == '\0' || version_compare(wanted, session->version) <= 0) &&
		(*session->oldest == '\0' || version_compare(wanted, session->oldest) >= 0))
		return 0;
	certauto__error_set(err, CERTAUTO_EREFUSED, session->target->label,
		"the controller does not speak API version %s, but %s%s%s", wanted,
		session->oldest, *session->oldest != '\0' ? " to " : "up to ", session->version);
	certauto__device_sign(err, session->target);
	return certauto__error_advise(err,
		"leave out api_version, then the controller's own is spoken");
}

/* ---- cookies ---- */

/* A header's value: what would end it, or the cookie, cannot be part of one. */
static int is_token(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f ||
			strchr(";,\"\\", text[i]) != NULL)
			return 0;
	}
	return len > 0;
}

/* The new value, if there is one in the answer; 1: it is another than before. */
static int cookie_take(certauto__secret **secret, const certauto__exchange *x, const char *name)
{
	size_t i, len, name_len = strlen(name);
	certauto__secret *fresh = NULL;
	const char *text;

	for (i = 0; (text = certauto__transfer_header(x->transfer, "Set-Cookie", i)) != NULL; i++) {
		if (!certauto__text_starts(text, name) || text[name_len] != '=')
			continue;
		text += name_len + 1;
		len = strcspn(text, "; ");
		if (!is_token(text, len) || (certauto__secret_len(*secret) == len &&
			memcmp(certauto__secret_data(*secret), text, len) == 0))
			return 0;
		if (certauto__secret_new(&fresh, text, len) < 0)
			return CERTAUTO_ENOMEM;
		certauto__secret_free(*secret);
		*secret = fresh;
		return 1;
	}
	return 0;
}

/* Each answer may have fresh ones; those of a session that is over are not wanted. */
static void cookies_follow(struct session *session, const certauto__exchange *x)
{
	if ((uintptr_t)x->dress_arg < session->begun || session->cookies.id == NULL)
		return;
	(void)cookie_take(&session->cookies.id, x, session->cookies.name);
	if (cookie_take(&session->cookies.csrf, x, "csrftoken") > 0)
		session->gate.serial++;
}

static void cookies_send(const struct cookies *cookies, certauto__exchange *x)
{
	const char *id = certauto__secret_text(cookies->id),
		*csrf = certauto__secret_text(cookies->csrf);

	/* Both names, as the vendor's clients do it: releases differ in which one they read. */
	if (strcmp(cookies->name, "sessionid") == 0)
		certauto__exchange_add_header(x, "Cookie: csrftoken=%s; sessionid=%s", csrf, id);
	else
		certauto__exchange_add_header(x, "Cookie: csrftoken=%s; sessionid=%s; %s=%s", csrf,
			id, cookies->name, id);
	certauto__exchange_add_header(x, "X-CSRFToken: %s", csrf);
}

/* ---- opening ---- */

static certauto__verdict login_ask(certauto_job *job, certauto__exchange *x)
{
	const certauto_target *target = session_of(job)->target;
	const char *token = certauto__option_text(target, "token");

	certauto__device_ask(x, target, "POST", "/login");
	certauto__buffer_text_add(&x->body, "username=");
	certauto__url_escape(&x->body, certauto__option_text(target, "user"));
	certauto__buffer_text_add(&x->body, token != NULL ? "&token=" : "&password=");
	certauto__url_escape(&x->body,
		token != NULL ? token : certauto__option_text(target, "password"));
	return CERTAUTO__SEND;
}

struct greeting {
	struct session *session;
	char cookie[COOKIE_MAX];
	certauto__buffer tenants;      /* fit to be shown */
	int has_tenants, knows_tenant;
};

static int greeting_tenant(struct greeting *greeting, const char *name, size_t len)
{
	if (certauto__text_equal(name, certauto__option_text(greeting->session->target, "tenant")))
		greeting->knows_tenant = 1;
	if (greeting->tenants.len > TENANTS_SHOWN)
		return 0;
	certauto__buffer_text_add(&greeting->tenants, greeting->has_tenants ? ", \"" : "\"");
	certauto__text_escape(&greeting->tenants, name, len);
	certauto__buffer_text_add(&greeting->tenants, "\"");
	greeting->has_tenants = 1;
	return greeting->tenants.rc;
}

static int greeting_cb(void *arg, const certauto__json_value *value)
{
	struct greeting *greeting = arg;

	if (value->type != CERTAUTO__JSON_STRING)
		return 0;
	if (certauto__json_is(value, "version.Version"))
		version_take(greeting->session->version, value->text);
	else if (certauto__json_is(value, "version.min_version"))
		version_take(greeting->session->oldest, value->text);
	else if (certauto__json_is(value, "session_cookie_name") &&
		is_token(value->text, value->len) && strchr(value->text, '=') == NULL)
		(void)snprintf(greeting->cookie, sizeof(greeting->cookie), "%s", value->text);
	else if (certauto__json_is(value, "tenants[].name"))
		return greeting_tenant(greeting, value->text, value->len);
	return 0;
}

static int greeting_cookies(struct greeting *greeting, const certauto__exchange *x,
	certauto_error *err)
{
	struct cookies *cookies = &greeting->session->cookies;
	const char *name = greeting->cookie[0] != '\0' ? greeting->cookie : "sessionid";
	int rc;

	cookies_drop(cookies);
	memcpy(cookies->name, name, strlen(name) + 1);
	if ((rc = cookie_take(&cookies->id, x, name)) == 0)
		rc = cookie_take(&cookies->id, x, "sessionid");
	if (rc >= 0 && (rc = cookie_take(&cookies->csrf, x, "csrftoken")) >= 0 &&
		cookies->id != NULL && cookies->csrf != NULL)
		return 0;
	if (rc < 0)
		return certauto__error_nomem(err);
	return certauto__error_set(err, CERTAUTO_EPROTO, greeting->session->target->label,
		"the answer to the login has no cookies of a session in it");
}

static int greeting_judge(struct greeting *greeting, certauto_error *err)
{
	const certauto_target *target = greeting->session->target;

	if (!greeting->has_tenants || greeting->knows_tenant)
		return version_settle(greeting->session, err);
	certauto__error_set(err, CERTAUTO_ENOTFOUND, certauto__option_text(target, "tenant"),
		"the account has no tenant \"%s\", but %s",
		certauto__option_text(target, "tenant"),
		certauto__buffer_text(&greeting->tenants));
	certauto__device_sign(err, target);
	return certauto__error_advise(err,
		"set tenant to one of these, or let the account into that one");
}

/* Nothing of it holds when it fails, but a session that was made is still logged out. */
static int greeting_read(struct session *session, const certauto__exchange *x, certauto_error *err)
{
	struct greeting greeting = {.session = session,
		.tenants = CERTAUTO__BUFFER(TENANTS_SHOWN + 8 * CERTAUTO__SHOWN_MAX)};
	const char *text;
	size_t len;
	int rc;

	text = certauto__exchange_answer(x, &len);
	session->version[0] = session->oldest[0] = '\0';
	rc = len == 0 ? 0 : certauto__json_read("the answer to the login", text, len,
		&certauto__json_limits_device, greeting_cb, &greeting, err);
	if (rc == 0)
		rc = greeting_cookies(&greeting, x, err);
	if (rc < 0)
		certauto__device_sign(err, session->target);
	else
		rc = greeting_judge(&greeting, err);
	certauto__buffer_free(&greeting.tenants);
	return rc;
}

static certauto__verdict login_read(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	certauto_error error = {0};
	int rc;

	if (certauto__avi_is_no(x)) {
		certauto__avi_tell(&error, x, session->target, session->target->label,
			"logging in");
		if (x->rc == 0 && x->status < 500 && error.code == CERTAUTO_EPERM)
			error.code = CERTAUTO_EAUTH;
		if (x->rc == 0 && x->status < 500)
			session_refuse(session, &error);
		return certauto__fail_with(job, &error);
	}
	if ((rc = greeting_read(session, x, &error)) == 0)
		return CERTAUTO__NEXT;
	if (rc == CERTAUTO_ENOTFOUND || rc == CERTAUTO_EREFUSED)
		certauto__gate_refuse(&session->gate, &error);
	return certauto__fail_with(job, &error);
}

static const struct certauto__step open_steps[] = {
	{.name = "login", .ask = login_ask, .read = login_read, .flags = CERTAUTO__ERRORS},
};

static const struct certauto__table open_table = {
	.name = "avi-open",
	.steps = open_steps,
	.n_steps = 1,
};

static void session_opened(certauto_job *job, void *arg)
{
	struct session *session = arg;

	certauto__gate_opened(job, &session->gate);
	session->begun = session->gate.serial;
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

/* As browsers do it: the origin, without the port that the scheme has anyway. */
static void referer_send(const certauto_target *target, certauto__exchange *x)
{
	const char *url = certauto__option_text(target, "url"), *host = strstr(url, "//") + 2;
	int len = (int)(host - url + (long)strcspn(host, "/?"));
	const char *port = certauto__text_starts(url, "http:") ? ":80" : ":443";
	int port_len = (int)strlen(port);

	if (len > port_len && strncmp(url + len - port_len, port, (size_t)port_len) == 0)
		len -= port_len;
	certauto__exchange_add_header(x, "Referer: %.*s", len, url);
}

static certauto__verdict session_dress(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	const struct cookies *cookies = &session->cookies;
	int own = is_own(job), leaves = own && x->dress_arg != NULL;

	if (!own)
		certauto__gate_warn(job, &session->gate, session->target);
	if (!own && !session->gate.ready)
		return session_need(job, session);
	certauto__device_headers_clear(x); /* of an earlier attempt */
	referer_send(session->target, x);
	if (own && !leaves) { /* no cookies of before: they would make it a call of a session */
		certauto__exchange_add_header(x, "Content-Type: application/x-www-form-urlencoded");
		return CERTAUTO__SEND;
	}
	if (leaves)
		cookies = &session->leaving;
	else
		x->dress_arg = (const void *)session->gate.serial;
	cookies_send(cookies, x);
	if (x->body.len > 0)
		certauto__exchange_add_header(x, "Content-Type: application/json");
	certauto__exchange_add_header(x, "X-Avi-Version: %s", session->speaks);
	certauto__exchange_add_header(x, "X-Avi-Tenant: %s",
		certauto__option_text(session->target, "tenant"));
	return CERTAUTO__SEND;
}

static int is_over(const certauto__exchange *x)
{
	return x->status == 401 || x->status == 419 ||
		(x->status == 403 && certauto__avi_says(x, "csrf"));
}

/* Another job has logged in since, is at it, or has a newer token: what was refused is not what
 * will be used next. */
static int is_former(const struct session *session, const certauto__exchange *x)
{
	return certauto__gate_is_former(&session->gate, (uintptr_t)x->dress_arg);
}

/* Who asks is not known any more, or never was: a controller that forgets every session at once is
 * not asked for a third. */
static certauto__judgement judge_over(struct session *session, const certauto__exchange *x)
{
	if (is_former(session, x))
		return CERTAUTO__NOW;
	/* A refusal may overtake the answer that has the new token in it. */
	if (session->gate.proved && session->peer->in_flight > 1 && certauto__avi_says(x, "csrf"))
		return CERTAUTO__SOON;
	if (certauto__gate_vain(&session->gate) >= VAIN_MAX) {
		session_refuse(session, &x->error);
		return CERTAUTO__BAD;
	}
	session_drop(session);
	return CERTAUTO__RELOGIN;
}

/* It has been upgraded since the login, or takes its own version for too new: once. */
static certauto__judgement judge_version(struct session *session, const certauto__exchange *x)
{
	if (certauto__option_text(session->target, "api_version") != NULL)
		return CERTAUTO__BAD;
	if (is_former(session, x))
		return CERTAUTO__NOW;
	if (*session->doubted != '\0')
		return CERTAUTO__BAD;
	memcpy(session->doubted, session->speaks, sizeof(session->doubted));
	session_drop(session);
	return CERTAUTO__RELOGIN;
}

/* A controller that is being upgraded refuses everything; that passes. A page in place of words is
 * a proxy's in front of it. */
static int is_passing(const certauto__exchange *x)
{
	return x->status >= 500 || (x->status == 403 && (certauto__avi_says(x, "upgrad") ||
		certauto__avi_says(x, "in progress") || !certauto__avi_says(x, "")));
}

/* Whose the errors of a job are. */
static const certauto_target *told_of(const certauto_job *job)
{
	return is_own(job) ? session_of(job)->target : certauto__avi_target(job);
}

static certauto__judgement judge_no(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	certauto__buffer doing = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 16);

	certauto__buffer_printf(&doing, "%s %s", x->method, certauto__buffer_text(&x->url));
	certauto__avi_tell(&x->error, x, told_of(job), certauto__buffer_text(&x->url),
		certauto__buffer_text(&doing));
	certauto__buffer_free(&doing);
	if (!is_own(job) && is_over(x))
		return judge_over(session, x);
	if (!is_own(job) && x->status == 400 && certauto__avi_says(x, "invalid version"))
		return judge_version(session, x);
	return is_passing(x) ? CERTAUTO__SOON : CERTAUTO__BAD;
}

static certauto__judgement session_judge(certauto_job *job, certauto__exchange *x)
{
	certauto__judgement judgement = certauto__judge_http(job, x);
	struct session *session = session_of(job);

	if (x->rc < 0)
		certauto__device_silence(job, x, told_of(job));
	if (x->rc < 0 || judgement == CERTAUTO__LATER)
		return judgement;
	if (judgement != CERTAUTO__OK)
		return judge_no(job, x);
	if (!is_own(job)) {
		session->gate.proved = 1;
		cookies_follow(session, x);
	}
	return CERTAUTO__OK;
}

/* ---- logging out ---- */

static certauto__verdict logout_ask(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);

	if (session->cookies.id != NULL) { /* else it is asked a second time */
		cookies_drop(&session->leaving);
		session->leaving = session->cookies;
		memset(&session->cookies, 0, sizeof(session->cookies));
	}
	session->gate.ready = 0; /* who comes now logs in anew */
	certauto__device_ask(x, session->target, "POST", "/logout");
	x->dress_arg = session;
	return CERTAUTO__SEND;
}

static certauto__verdict logout_read(certauto_job *job, certauto__exchange *x)
{
	(void)x;
	cookies_drop(&session_of(job)->leaving);
	return CERTAUTO__NEXT;
}

static const struct certauto__step logout_steps[] = {
	{.name = "logout", .ask = logout_ask, .read = logout_read, .flags = CERTAUTO__ANYHOW},
};

static const struct certauto__table logout_table = {
	.name = "avi-logout",
	.steps = logout_steps,
	.n_steps = 1,
};

/* ---- the peer ---- */

/* The next run may try again, and looks anew. */
static const struct certauto__table *session_farewell(certauto__peer *peer)
{
	struct session *session = peer->state;

	certauto__gate_forget(&session->gate);
	session->asked = 0;
	session->doubted[0] = '\0';
	return session->cookies.id != NULL && !session->gate.opening ? &logout_table : NULL;
}

static void session_destroy(certauto__peer *peer)
{
	struct session *session = peer->state;

	if (session == NULL)
		return;
	cookies_drop(&session->cookies);
	cookies_drop(&session->leaving);
	certauto__gate_forget(&session->gate);
	certauto__object_unref(session->target);
	certauto__free(session);
	peer->state = NULL;
}

static const struct certauto__peer_ops session_ops = {
	.kind = "avi",
	.dress = session_dress,
	.judge = session_judge,
	.destroy = session_destroy,
	.farewell = session_farewell,
};

int certauto__avi_peer(certauto_target *target, certauto__peer **out, certauto_error *err)
{
	static const char *const names[] = {"url", "user", "password", "token", "tenant",
		"api_version", "ca_file", "pin", "insecure", NULL};
	struct session *session = certauto__alloc(sizeof(*session));
	certauto__peer *peer = NULL;
	int rc = session != NULL ? 0 : certauto__error_nomem(err);

	if (rc == 0)
		rc = certauto__device_peer(&peer, target, &session_ops, names, WIDTH, err);
	if (rc == 0 && peer->state == NULL) {
		session->peer = peer;
		session->target = certauto__object_ref(target);
		peer->state = session;
		session = NULL;
	}
	if (rc == 0)
		*out = peer;
	certauto__free(session);
	return rc;
}

/* ---- for the steps of others ---- */

const char *certauto__avi_version(const certauto_job *job)
{
	return session_of(job)->version;
}

const char *certauto__avi_speaks(const certauto_job *job)
{
	return session_of(job)->speaks;
}

int certauto__avi_first(const certauto_job *job)
{
	struct session *session = session_of(job);

	return !session->asked && (session->asked = 1);
}
