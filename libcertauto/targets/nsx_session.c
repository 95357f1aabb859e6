/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks the managers of an NSX cluster. A password goes with each call, or makes a session,
 * which holds on that one manager only: an address that is asked has a door of its own. The first
 * call at the url's door is made by one silent job for all comers, who are parked until it has
 * ended: it asks for the version. A refused password is not tried again in a run, for accounts get
 * locked for that.
 *
 * A manager that gets another certificate restarts: meanwhile it is silent, and then it shows a
 * certificate that the options may not know. certauto__nsx_trust() says when that is expected. */

#include "targets/nsx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"
#include "json/reader.h"
#include "targets/device.h"
#include "targets/gate.h"

#define WIDTH 4            /* requests at a time: so many can fail before the first is told */
#define VERSION_MAX 64
#define VAIN_MAX 2         /* openings in a row that no call came through after: one more could lock
			      the account */
#define VAIN_SESSIONS 4    /* the same where each began with a login that was answered */
#define AWAY_MS 500        /* between looks whether one that restarts is there again */
#define RETRY_SHORT_S 5    /* told by Retry-After: waited for here */
#define LEGACY_UNTIL_MAJOR 3
#define LEGACY_UNTIL_MINOR 2
#define BY_PIN 1           /* in the number a call was dressed with: the other bits are a serial */

static const struct certauto__table logout_table;

struct session;

/* What one address knows of us. */
struct door {
	struct session *session;       /* borrowed */
	struct door *next;
	char address[CERTAUTO__ADDRESS];
	certauto__secret *id, *xsrf;   /* of a session; NULL: there is none */
	struct certauto__gate gate;
};

struct session {
	certauto__peer *peer;          /* borrowed: it owns this */
	certauto_target *target;       /* shared (+1): url, user, password, TLS */
	struct door *doors;            /* that of the url first */
	char version[VERSION_MAX];     /* "" = not told */
	char *pins;                    /* certauto__nsx_trust(); NULL */
};

static struct session *session_of(const certauto_job *job)
{
	return certauto__job_peer(job)->state;
}

static int has_sessions(const struct session *session)
{
	return certauto__text_equal(certauto__option_text(session->target, "auth"), "session");
}

static void door_drop(struct door *door)
{
	certauto__secret_free(door->id);
	certauto__secret_free(door->xsrf);
	door->id = door->xsrf = NULL;
	door->gate.ready = 0;
}

/* A password that is refused at one address is not tried at the others. */
static void session_refuse(const struct session *session, const certauto_error *error)
{
	struct door *door;

	for (door = session->doors; door != NULL; door = door->next)
		certauto__gate_refuse(&door->gate, error);
}

/* ---- doors ---- */

static int address_of(char out[CERTAUTO__ADDRESS], const char *url)
{
	certauto__buffer address = CERTAUTO__BUFFER(CERTAUTO__ADDRESS - 1);
	int rc = certauto__url_peer(url, &address, NULL);

	if (rc == 0)
		memcpy(out, address.data, address.len + 1);
	certauto__buffer_free(&address);
	return rc;
}

/* The door of that URL, made if there is none; NULL with an error. */
static struct door *door_at(struct session *session, const char *url, certauto_error *err)
{
	struct door **at = &session->doors, *door;
	char address[CERTAUTO__ADDRESS];
	int rc = address_of(address, url);

	if (rc < 0) {
		certauto__error_set(err, rc, url, "%s: %s", url, certauto_error_text(rc));
		return NULL;
	}
	for (; (door = *at) != NULL; at = &door->next)
		if (strcmp(door->address, address) == 0)
			return door;
	if ((door = certauto__alloc(sizeof(*door))) == NULL) {
		certauto__error_nomem(err);
		return NULL;
	}
	door->session = session;
	memcpy(door->address, address, sizeof(address));
	if (session->doors != NULL)
		certauto__gate_refuse(&door->gate, &session->doors->gate.refused);
	*at = door;
	return door;
}

/* ---- a session ---- */

static certauto__verdict login_ask(certauto_job *job, certauto__exchange *x)
{
	struct door *door = certauto__job_env(job);
	const certauto_target *target = door->session->target;

	if (!has_sessions(door->session))
		return CERTAUTO__NEXT;
	door_drop(door); /* one of before would make it a call of that session */
	certauto__nsx_call_at(x, target, "POST", door->address, "/api/session/create");
	x->body.secret = 1;
	certauto__buffer_text_add(&x->body, "j_username=");
	certauto__url_escape(&x->body, certauto__option_text(target, "user"));
	certauto__buffer_text_add(&x->body, "&j_password=");
	certauto__url_escape(&x->body, certauto__option_text(target, "password"));
	return CERTAUTO__SEND;
}

/* What would end a header, or a cookie in it, cannot be part of one. */
static int take_token(certauto__secret **out, const char *text)
{
	size_t len = strcspn(text, "; "), i;

	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f ||
			strchr(",\"\\", text[i]) != NULL)
			return 0;
	return len > 0 ? certauto__secret_new(out, text, len) : 0;
}

static int take_session(struct door *door, const certauto__exchange *x, certauto_error *err)
{
	static const char cookie[] = "JSESSIONID=";
	const char *text;
	size_t i;
	int rc = 0;

	door_drop(door);
	for (i = 0; rc == 0 && door->id == NULL &&
		(text = certauto__transfer_header(x->transfer, "Set-Cookie", i)) != NULL; i++)
		if (certauto__text_starts(text, cookie))
			rc = take_token(&door->id, text + strlen(cookie));
	text = certauto__transfer_header(x->transfer, "X-XSRF-TOKEN", 0);
	if (rc == 0 && text != NULL)
		rc = take_token(&door->xsrf, text);
	if (rc < 0)
		return certauto__error_nomem(err);
	if (door->id != NULL && door->xsrf != NULL)
		return 0;
	door_drop(door);
	certauto__error_set(err, CERTAUTO_EPROTO, door->address,
		"the answer to the login has no session in it");
	return certauto__device_sign(err, door->session->target);
}

/* A refusal that would be the same a second time. */
static certauto__verdict open_refused(certauto_job *job, certauto__exchange *x, const char *doing)
{
	struct door *door = certauto__job_env(job);
	certauto_error error = {0};

	if (x->error.code == CERTAUTO_ERETRY_LATER) /* it says when */
		return certauto__fail_with(job, &x->error);
	certauto__nsx_tell(&error, x, door->session->target, door->address, doing);
	if (x->rc == 0 && x->status == 403)
		error.code = CERTAUTO_EAUTH;
	if (x->rc == 0 && x->status < 500 && x->status != 429)
		session_refuse(door->session, &error);
	return certauto__fail_with(job, &error);
}

/* A manager that restarts with its certificate is waited for by whoever asks it, and here for all
 * of them: what is to be taken back would fail with the login. */
static int is_away(const certauto_job *job, const certauto__exchange *x)
{
	const struct door *door = certauto__job_env(job);

	return door->session->pins != NULL &&
		(x->rc == CERTAUTO_ENET || x->rc == CERTAUTO_ETIMEDOUT || x->rc == CERTAUTO_ETLS ||
			x->status == 429 || x->status >= 500) &&
		certauto__step_age_ms(job) <
			2 * certauto__option_number(door->session->target, "timeout_ms");
}

static certauto__verdict login_read(certauto_job *job, certauto__exchange *x)
{
	if (is_away(job, x))
		return certauto__again(job, AWAY_MS);
	if (certauto__nsx_is_no(x))
		return open_refused(job, x, "logging in");
	return take_session(certauto__job_env(job), x, certauto__job_error_of(job)) < 0
		? CERTAUTO__FAILED : CERTAUTO__NEXT;
}

/* ---- the version ---- */

static certauto__verdict version_ask(certauto_job *job, certauto__exchange *x)
{
	struct door *door = certauto__job_env(job);

	if (door != door->session->doors)
		return CERTAUTO__NEXT;
	return certauto__nsx_call(x, door->session->target, "GET", "/api/v1/node/version");
}

static int version_row(void *arg, const char *const *values)
{
	const char *text = values[0] != NULL ? values[0] : values[1];

	if (text != NULL)
		(void)snprintf(arg, VERSION_MAX, "%.*s", (int)strspn(text, "0123456789."), text);
	return 0;
}

/* Who may not know the version may still be somebody. */
static certauto__verdict version_read(certauto_job *job, certauto__exchange *x)
{
	static const char *const fields[] = {"node_version", "product_version", NULL};
	struct door *door = certauto__job_env(job);
	struct session *session = door->session;
	certauto_error error = {0};

	if (is_away(job, x))
		return certauto__again(job, AWAY_MS);
	/* Logged in, and forgotten at once: the virtual IP has moved. */
	if (certauto__nsx_is_login(x) && door->id != NULL &&
		certauto__fact_own(job, ".again") == NULL) {
		certauto__fact_set(job, ".again", "yes");
		return certauto__goto(job, "login");
	}
	if (x->rc < 0 || certauto__nsx_is_login(x) || x->status >= 500 || x->status == 429)
		return open_refused(job, x, "asking for the version");
	session->version[0] = '\0';
	if (x->status >= 300 ||
		certauto__rest_object(x, fields, version_row, session->version, &error) == 0)
		return CERTAUTO__NEXT;
	certauto__error_prefix(&error, "asking for the version");
	certauto__device_sign(&error, session->target);
	return certauto__fail_with(job, &error);
}

static const struct certauto__step open_steps[] = {
	{.name = "login", .ask = login_ask, .read = login_read, .flags = CERTAUTO__ANYHOW},
	{.name = "version",
		.ask = version_ask,
		.read = version_read,
		.flags = CERTAUTO__READS | CERTAUTO__ANYHOW},
};

static const struct certauto__table open_table = {
	.name = "nsx-open",
	.steps = open_steps,
	.n_steps = sizeof(open_steps) / sizeof(open_steps[0]),
};

/* ---- opening ---- */

static certauto__verdict door_need(certauto_job *job, struct door *door)
{
	struct certauto__start start = {.table = &open_table,
		.name = door->session->target->label,
		.env = door,
		.peer = door->session->peer};

	return certauto__gate_need(job, &door->gate, &start);
}

/* ---- each call ---- */

/* The jobs of this file do without a door that is open. */
static int is_own(const certauto_job *job)
{
	return certauto__job_table(job) == &open_table || certauto__job_table(job) == &logout_table;
}

/* Where it is settled who asks at a door: a password is the same for all. */
static struct door *login_of(struct door *door)
{
	return has_sessions(door->session) ? door : door->session->doors;
}

static void password_send(const struct session *session, certauto__exchange *x)
{
	const certauto_target *target = session->target;
	certauto__buffer both = CERTAUTO__BUFFER(64 * 1024), coded = CERTAUTO__BUFFER(96 * 1024);

	both.secret = coded.secret = 1;
	certauto__buffer_printf(&both, "%s:%s", certauto__option_text(target, "user"),
		certauto__option_text(target, "password"));
	if (both.rc == 0)
		certauto__base64_encode(&coded, both.data, both.len);
	certauto__exchange_add_header(x, "Authorization: %s %s",
		certauto__text_equal(certauto__option_text(target, "auth"), "remote") ? "Remote"
										     : "Basic",
		certauto__buffer_text(&coded));
	if (both.rc < 0 || coded.rc < 0)
		x->body.rc = both.rc < 0 ? both.rc : coded.rc; /* stops the sending */
	certauto__buffer_free(&both);
	certauto__buffer_free(&coded);
}

static uintptr_t dressed(const certauto__exchange *x)
{
	return (uintptr_t)x->dress_arg;
}

/* As the options say; or, where that has failed while certificates change, by pin. */
static void trust_dress(const struct session *session, certauto__exchange *x)
{
	int by_pin = (dressed(x) & BY_PIN) != 0 && session->pins != NULL;

	x->pin = by_pin ? session->pins : certauto__option_text(session->target, "pin");
	x->insecure = by_pin || certauto__option_flag(session->target, "insecure");
}

static void door_dress(const struct door *door, certauto__exchange *x, int is_login)
{
	certauto__device_headers_clear(x); /* of an earlier attempt */
	if (!has_sessions(door->session)) {
		password_send(door->session, x);
	} else if (!is_login) {
		certauto__exchange_add_header(x, "Cookie: JSESSIONID=%s",
			certauto__secret_text(door->id));
		certauto__exchange_add_header(x, "X-XSRF-TOKEN: %s",
			certauto__secret_text(door->xsrf));
	}
	if (certauto__text_equal(x->method, "PUT") &&
		certauto__option_flag(door->session->target, "allow_overwrite"))
		certauto__exchange_add_header(x, "X-Allow-Overwrite: true");
	if (x->body.len > 0)
		certauto__exchange_add_header(x, "Content-Type: %s",
			is_login ? "application/x-www-form-urlencoded" : "application/json");
}

/* The url's door comes before all others: there the password is tried. */
static certauto__verdict session_dress(certauto_job *job, certauto__exchange *x)
{
	struct session *session = session_of(job);
	struct door *door = door_at(session, certauto__buffer_text(&x->url),
		certauto__job_error_of(job));
	int opens = certauto__job_table(job) == &open_table, own = is_own(job);

	if (door == NULL) /* what has no URL is not sent, and told by itself */
		return x->url.rc < 0 ? CERTAUTO__SEND : CERTAUTO__FAILED;
	trust_dress(session, x);
	if (!own)
		certauto__gate_warn(job, &session->doors->gate, session->target);
	if (!own && !session->doors->gate.ready)
		return door_need(job, session->doors);
	door = login_of(door);
	if (!own && !door->gate.ready)
		return door_need(job, door);
	x->dress_arg = (const void *)(door->gate.serial << 1 | (dressed(x) & BY_PIN));
	door_dress(door, x, opens && door->id == NULL);
	return CERTAUTO__SEND;
}

/* Who asks is not known any more, or never was; under load some directories forget it for a
 * moment. That is asked for once more, not a third time. A login that was answered shows that the
 * password is right: managers that restart one after the other may forget it more often. */
static certauto__judgement judge_login(struct door *door, const certauto__exchange *x)
{
	int is_session = has_sessions(door->session);

	if (certauto__gate_is_former(&door->gate, dressed(x) >> 1))
		return CERTAUTO__NOW;
	if (certauto__gate_vain(&door->gate) >= (is_session ? VAIN_SESSIONS : VAIN_MAX)) {
		session_refuse(door->session, &x->error);
		door_drop(door);
		return CERTAUTO__BAD;
	}
	door_drop(door);
	return is_session ? CERTAUTO__NOW : CERTAUTO__RELOGIN;
}

/* While certificates change: what the options do not know may be one of those that are expected,
 * and silence is part of it. */
static int is_by_pin_now(certauto__peer *peer, const struct session *session,
	certauto__exchange *x)
{
	if (session->pins == NULL || x->rc >= 0)
		return 0;
	peer->silent = 0;
	if (x->rc != CERTAUTO_ETLS || (dressed(x) & BY_PIN) != 0)
		return 0;
	x->dress_arg = (const void *)(dressed(x) | BY_PIN);
	return 1;
}

static certauto__judgement judge_no(certauto_job *job, certauto__exchange *x,
	certauto__judgement judgement)
{
	struct session *session = session_of(job);
	struct door *door = door_at(session, certauto__buffer_text(&x->url), NULL);
	certauto__buffer doing = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX + 16);
	int64_t wait_s = certauto__transfer_retry_after(x->transfer);

	if (judgement == CERTAUTO__LATER && wait_s > RETRY_SHORT_S)
		return judgement;
	certauto__buffer_printf(&doing, "%s %s", x->method, certauto__buffer_text(&x->url));
	certauto__nsx_tell(&x->error, x, session->target, certauto__buffer_text(&x->url),
		certauto__buffer_text(&doing));
	certauto__buffer_free(&doing);
	if (certauto__nsx_is_login(x) && !is_own(job) && door != NULL)
		return judge_login(login_of(door), x);
	return x->status == 429 || x->status >= 500 ? CERTAUTO__SOON : CERTAUTO__BAD;
}

static certauto__judgement session_judge(certauto_job *job, certauto__exchange *x)
{
	certauto__judgement judgement = certauto__judge_http(job, x);
	struct session *session = session_of(job);
	struct door *door;

	if (is_by_pin_now(certauto__job_peer(job), session, x))
		return CERTAUTO__NOW;
	if (x->rc < 0) {
		certauto__device_silence(job, x, session->target);
		return judgement;
	}
	if (judgement != CERTAUTO__OK)
		return judge_no(job, x, judgement);
	if (!is_own(job) &&
		(door = door_at(session, certauto__buffer_text(&x->url), NULL)) != NULL)
		login_of(door)->gate.proved = 1;
	return CERTAUTO__OK;
}

/* ---- the end ---- */

static struct door *door_nth(const struct session *session, int i)
{
	struct door *door = session->doors;

	while (door != NULL && (door->id == NULL || i-- > 0))
		door = door->next;
	return door;
}

static int logout_each(certauto_job *job)
{
	int n = 0;

	while (door_nth(session_of(job), n) != NULL)
		n++;
	return n;
}

static certauto__verdict logout_ask(certauto_job *job, certauto__exchange *x)
{
	const struct session *session = session_of(job);
	const struct door *door = door_nth(session, certauto__index(job));

	if (door == NULL)
		return CERTAUTO__NEXT;
	return certauto__nsx_call_at(x, session->target, "POST", door->address,
		"/api/session/destroy");
}

static certauto__verdict logout_read(certauto_job *job, certauto__exchange *x)
{
	(void)job;
	(void)x;
	return CERTAUTO__NEXT;
}

static certauto__verdict forget_ask(certauto_job *job, certauto__exchange *x)
{
	struct door *door;

	(void)x;
	for (door = session_of(job)->doors; door != NULL; door = door->next)
		if (!door->gate.opening)
			door_drop(door);
	return CERTAUTO__NEXT;
}

static const struct certauto__step logout_steps[] = {
	{.name = "logout",
		.ask = logout_ask,
		.read = logout_read,
		.each = logout_each,
		.flags = CERTAUTO__ANYHOW},
	{.name = "forget", .ask = forget_ask},
};

static const struct certauto__table logout_table = {
	.name = "nsx-logout",
	.steps = logout_steps,
	.n_steps = sizeof(logout_steps) / sizeof(logout_steps[0]),
};

/* The next run may try again, and looks anew: it may be another version by then. */
static const struct certauto__table *session_farewell(certauto__peer *peer)
{
	struct session *session = peer->state;
	struct door *door;
	int n = 0;

	certauto__free(session->pins);
	session->pins = NULL;
	for (door = session->doors; door != NULL; door = door->next) {
		certauto__gate_forget(&door->gate);
		n += door->id != NULL && !door->gate.opening;
		if (door->id == NULL && !door->gate.opening)
			door->gate.ready = 0;
	}
	return n > 0 ? &logout_table : NULL;
}

static void session_free(struct session *session)
{
	struct door *door;

	if (session == NULL)
		return;
	while ((door = session->doors) != NULL) {
		session->doors = door->next;
		door_drop(door);
		certauto__gate_forget(&door->gate);
		certauto__free(door);
	}
	certauto__free(session->pins);
	certauto__object_unref(session->target);
	certauto__free(session);
}

static void session_destroy(certauto__peer *peer)
{
	session_free(peer->state);
	peer->state = NULL;
}

/* ---- the peer ---- */

static const struct certauto__peer_ops session_ops = {
	.kind = "nsx",
	.dress = session_dress,
	.judge = session_judge,
	.destroy = session_destroy,
	.farewell = session_farewell,
};

/* With the url's door. */
static int session_new(struct session **out, certauto_target *target, certauto_error *err)
{
	struct session *session = certauto__alloc(sizeof(*session));
	certauto_error error = {0};
	int rc;

	if (session == NULL)
		return certauto__error_nomem(err);
	session->target = certauto__object_ref(target);
	if (door_at(session, certauto__option_text(target, "url"), &error) != NULL) {
		*out = session;
		return 0;
	}
	session_free(session);
	rc = certauto__error_copy(err, &error);
	certauto__error_clear(&error);
	return rc;
}

int certauto__nsx_peer(certauto_target *target, certauto__peer **out, certauto_error *err)
{
	static const char *const names[] = {"url", "user", "password", "auth", "ca_file", "pin",
		"insecure", "allow_overwrite", NULL};
	struct session *session = NULL;
	certauto__peer *peer = NULL;
	int rc;

	if ((rc = session_new(&session, target, err)) == 0 &&
		(rc = certauto__device_peer(&peer, target, &session_ops, names, WIDTH, err)) == 0) {
		if (peer->state == NULL) {
			session->peer = peer;
			peer->state = session;
			session = NULL;
		}
		*out = peer;
	}
	session_free(session);
	return rc;
}

/* ---- for the steps of others ---- */

void certauto__nsx_trust(certauto_job *job, const char *pins)
{
	struct session *session = session_of(job);

	if (certauto__text_equal(session->pins, pins))
		return;
	certauto__free(session->pins);
	session->pins = NULL;
	if (pins != NULL)
		session->pins = certauto__strdup(pins);
}

const char *certauto__nsx_version(const certauto_job *job)
{
	return session_of(job)->version;
}

/* One that does not tell what it is, is not an old one. */
int certauto__nsx_is_legacy(const certauto_job *job)
{
	const struct session *session = session_of(job);
	const char *dialect = certauto__option_text(certauto__nsx_target(job), "dialect");
	char *end;
	long major = strtol(session->version, &end, 10), minor;

	if (!certauto__text_equal(dialect, "auto") || *session->version == '\0')
		return certauto__text_equal(dialect, "legacy");
	minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
	return major < LEGACY_UNTIL_MAJOR ||
		(major == LEGACY_UNTIL_MAJOR && minor < LEGACY_UNTIL_MINOR);
}
