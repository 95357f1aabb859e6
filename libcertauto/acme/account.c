/* SPDX-License-Identifier: Apache-2.0 */
/* The public noun account: what it is made of, how it is configured, how its jobs are started. How
 * it is found or created at the CA is in service.c, what else is asked of it in account_jobs.c and
 * rotate.c. */
#include "acme/peer.h"

#include <string.h>

#include "core/memory.h"
#include "crypto/objects.h"
#include "http/http.h"

#define EAB_KID_MAX 1024
#define EAB_KEY_MAX 4096

static const struct {
	const char *name, *url;
} known_servers[] = {
	{"letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"},
	{"letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"},
};

static void account_destroy(void *object)
{
	certauto_account *account = object;

	certauto__peer_unref(account->peer);
	if (account->key == NULL)
		certauto__pkey_free(account->pkey);
	certauto_key_free(account->key);
	certauto__object_unref(account->store);
	certauto__list_free(&account->contacts);
	certauto__list_free(&account->allow_hosts);
	certauto__list_free(&account->profiles);
	certauto__list_free(&account->known_contacts);
	certauto__list_free(&account->orders);
	certauto__renewal_free(&account->renewal);
	certauto__secret_free(account->eab_key);
	certauto__free(account->eab_kid);
	certauto__free(account->key_type);
	certauto__free(account->name);
	certauto__free(account->server);
	certauto__free(account->ca_file);
	certauto__free(account->url);
	certauto__free(account->terms_url);
	certauto__free(account->status);
	certauto__free(account->orders_url);
}

void certauto__account_take_key(certauto_account *account, certauto__pkey *pkey, certauto_key *key)
{
	if (account->key == NULL)
		certauto__pkey_free(account->pkey);
	certauto_key_free(account->key);
	account->key = key;
	account->pkey = pkey;
}

void certauto__account_take_document(
	certauto_account *account, struct certauto__account_document *document)
{
	certauto__free(account->status);
	certauto__free(account->orders_url);
	certauto__list_free(&account->known_contacts);
	account->status = document->status;
	account->orders_url = document->orders;
	account->known_contacts = document->contacts;
	memset(document, 0, sizeof(*document));
}

const char *certauto__account_key_type(const certauto_account *account)
{
	return account->key_type != NULL ? account->key_type : "ecdsa-p256";
}

static const char *server_url(const char *server)
{
	size_t i;

	for (i = 0; i < sizeof(known_servers) / sizeof(known_servers[0]); i++)
		if (strcmp(server, known_servers[i].name) == 0)
			return known_servers[i].url;
	return server;
}

int certauto__account_make(
	certauto_account **out, certauto_context *cx, const char *server, certauto_error *err)
{
	certauto_account *account;
	int rc;

	if ((rc = certauto__url_check_configured(server_url(server), 0, err)) < 0)
		return rc;
	if ((account = certauto__object_new(cx, sizeof(*account), account_destroy)) == NULL)
		return certauto__error_nomem(err);
	account->name = certauto__strdup("default");
	account->server = certauto__strdup(server_url(server));
	if (account->name == NULL || account->server == NULL) {
		certauto__object_unref(account);
		return certauto__error_nomem(err);
	}
	*out = account;
	return 0;
}

/* One address and no header fields (RFC 8555 7.3); other schemes are for the CA to judge. */
static const char *contact_fault(const char *uri)
{
	const char *p, *address;

	for (p = uri; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return "it must be printable ASCII without spaces";
	if ((p = strchr(uri, ':')) == NULL || p == uri)
		return "it must be a URI such as mailto:ops@example.org";
	if (!certauto__text_starts(uri, "mailto:"))
		return NULL;
	address = p + 1;
	if (strpbrk(address, "?,") != NULL)
		return "a mailto contact is one address without ? or ,";
	p = strchr(address, '@');
	return p == NULL || p == address || p[1] == '\0'
		? "it lacks the form mailto:someone@example.org"
		: NULL;
}

int certauto__account_add_contact_text(
	certauto_account *account, const char *uri, certauto_error *err)
{
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	const char *fault = contact_fault(uri);
	int rc = 0;

	if (fault != NULL) {
		certauto__text_escape(&shown, uri, strlen(uri));
		rc = certauto__error_set(err, CERTAUTO_EINVAL, account->name, "contact \"%s\": %s",
			certauto__buffer_text(&shown), fault);
		certauto__buffer_free(&shown);
	} else if (!certauto__list_has(&account->contacts, uri) &&
	    certauto__list_add_text(&account->contacts, uri) < 0) {
		rc = certauto__error_nomem(err);
	}
	return rc;
}

/* ---- external account binding ---- */

static const char *const eab_algs[] = {"HS256", "HS384", "HS512"};

int certauto__account_set_eab_alg(certauto_account *account, const char *alg, certauto_error *err)
{
	size_t i;

	for (i = 0; i < sizeof(eab_algs) / sizeof(*eab_algs); i++)
		if (strcmp(alg, eab_algs[i]) == 0) {
			account->eab_alg = eab_algs[i];
			return 0;
		}
	return certauto__error_set(err, CERTAUTO_EINVAL, account->name,
		"the MAC of an external account binding is HS256, HS384 or HS512");
}

static int kid_fits(const char *kid)
{
	size_t i, len = strlen(kid);

	for (i = 0; i < len; i++)
		if (kid[i] <= ' ' || kid[i] > '~')
			return 0;
	return len > 0 && len <= EAB_KID_MAX;
}

/* What is wrong is told without what it is: it is a secret. */
static int eab_decode(certauto__secret **out, const certauto_account *account, const char *text,
	size_t len, certauto_error *err)
{
	certauto__buffer key = CERTAUTO__BUFFER(EAB_KEY_MAX);
	int rc;

	key.secret = 1;
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--; /* of a file */
	if (len % 4 == 0 && len > 0 && text[len - 1] == '=')
		len -= text[len - 2] == '=' ? 2 : 1;
	rc = certauto__base64url_decode(&key, text, len);
	if (rc == CERTAUTO_ENOMEM)
		rc = certauto__error_nomem(err);
	else if (rc < 0 || key.len == 0)
		rc = certauto__error_set(err, CERTAUTO_EINVAL, account->name,
			"the MAC key of the external account binding is %s",
			len == 0 ? "empty" : "not base64url");
	else if (certauto__secret_new(out, key.data, key.len) < 0)
		rc = certauto__error_nomem(err);
	certauto__buffer_free(&key);
	return rc;
}

int certauto__account_set_eab(certauto_account *account, const char *kid, const void *data,
	size_t len, certauto_error *err)
{
	certauto__secret *key = NULL;
	char *copy;
	int rc;

	if (!kid_fits(kid))
		return certauto__error_set(err, CERTAUTO_EINVAL, account->name,
			"the kid of an external account binding is printable ASCII without "
			"spaces, 1 to %d characters",
			EAB_KID_MAX);
	if ((rc = eab_decode(&key, account, data, len, err)) < 0)
		return rc;
	if ((copy = certauto__strdup(kid)) == NULL) {
		certauto__secret_free(key);
		return certauto__error_nomem(err);
	}
	certauto__free(account->eab_kid);
	certauto__secret_free(account->eab_key);
	account->eab_kid = copy;
	account->eab_key = key;
	return 0;
}

int certauto__account_set_key_type(certauto_account *account, const char *type, certauto_error *err)
{
	char *copy;
	int rc;

	if ((rc = certauto__key_type_check(type, err)) < 0)
		return rc;
	if ((copy = certauto__strdup(type)) == NULL)
		return certauto__error_nomem(err);
	certauto__free(account->key_type);
	account->key_type = copy;
	return 0;
}

/* As the host of a URL, with a port or without; whole, so that nothing else can be in it. */
int certauto__account_allow_host(certauto_account *account, const char *host, certauto_error *err)
{
	certauto__buffer url = CERTAUTO__BUFFER(CERTAUTO__HTTP_URL_MAX);
	certauto__buffer shown = CERTAUTO__BUFFER(4096);
	int rc;

	if (certauto__buffer_printf(&url, "https://%s/", host) == CERTAUTO_ENOMEM) {
		rc = certauto__error_nomem(err);
	} else if (strpbrk(host, "/?#@") != NULL ||
	    certauto__url_check_configured(certauto__buffer_text(&url), 0, NULL) < 0) {
		certauto__text_escape(&shown, host, strlen(host));
		rc = certauto__error_set(err, CERTAUTO_EINVAL, account->name,
			"\"%s\" is not a host such as ca.example or ca.example:8443",
			certauto__buffer_text(&shown));
	} else if ((rc = certauto__list_add_text(&account->allow_hosts, host)) < 0) {
		rc = certauto__error_nomem(err);
	}
	certauto__buffer_free(&shown);
	certauto__buffer_free(&url);
	return rc;
}

/* ---- the public face ---- */

int certauto_account_new(certauto_account **out, certauto_context *cx, const char *server)
{
	int rc;

	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (out == NULL || server == NULL)
		rc = certauto__error_set(
			&cx->error, CERTAUTO_EINVAL, NULL, "out and server must be given");
	else
		rc = certauto__account_make(out, cx, server, &cx->error);
	return certauto__leave(cx, rc);
}

/* What key, store and peer are made of may not change under running jobs. */
static int account_enter(certauto_account *account, int unused)
{
	certauto_context *cx;
	int rc;

	if (account == NULL)
		return CERTAUTO_EINVAL;
	cx = account->object.cx;
	if ((rc = certauto__enter(cx)) < 0)
		return rc;
	if (!unused || account->peer == NULL)
		return 0;
	return certauto__leave(cx,
		certauto__error_set(&cx->error, CERTAUTO_EBUSY, account->name,
			"the account is in use already: set this before its first job"));
}

static int account_set_text(certauto_account *account, char **field, const char *text)
{
	char *copy = certauto__strdup(text);

	if (text != NULL && copy == NULL)
		return certauto__error_nomem(&account->object.cx->error);
	certauto__free(*field);
	*field = copy;
	return 0;
}

static int foreign(certauto_account *account, const certauto_context *cx, const char *what)
{
	if (cx == account->object.cx)
		return 0;
	return certauto__error_set(&account->object.cx->error, CERTAUTO_EINVAL, NULL,
		"account and %s belong to two contexts", what);
}

int certauto_account_set_key(certauto_account *account, certauto_key *key)
{
	int rc;

	if ((rc = account_enter(account, 1)) < 0)
		return rc;
	if (key == NULL) {
		rc = certauto__error_set(
			&account->object.cx->error, CERTAUTO_EINVAL, NULL, "key must be given");
	} else if ((rc = foreign(account, key->object.cx, "key")) == 0) {
		certauto__account_take_key(account, key->pkey, certauto__object_ref(key));
	}
	return certauto__leave(account->object.cx, rc);
}

int certauto_account_add_contact(certauto_account *account, const char *uri)
{
	int rc;

	if ((rc = account_enter(account, 0)) < 0)
		return rc;
	if (uri == NULL)
		rc = certauto__error_set(
			&account->object.cx->error, CERTAUTO_EINVAL, NULL, "uri must be given");
	else
		rc = certauto__account_add_contact_text(account, uri, &account->object.cx->error);
	return certauto__leave(account->object.cx, rc);
}

int certauto_account_set_agree_tos(certauto_account *account, int agree)
{
	int rc;

	if ((rc = account_enter(account, 0)) < 0)
		return rc;
	account->agree_tos = agree != 0;
	return certauto__leave(account->object.cx, 0);
}

int certauto_account_set_ca_file(certauto_account *account, const char *path)
{
	int rc;

	if ((rc = account_enter(account, 1)) < 0)
		return rc;
	rc = account_set_text(account, &account->ca_file, path);
	return certauto__leave(account->object.cx, rc);
}

int certauto_account_use_store(certauto_account *account, certauto_store *store)
{
	int rc;

	if ((rc = account_enter(account, 1)) < 0)
		return rc;
	if (store == NULL || (rc = foreign(account, store->object.cx, "store")) == 0) {
		certauto__object_ref(store);
		certauto__object_unref(account->store);
		account->store = store;
	}
	return certauto__leave(account->object.cx, rc);
}

int certauto_account_set_name(certauto_account *account, const char *name)
{
	int rc;

	if ((rc = account_enter(account, 1)) < 0)
		return rc;
	if (name == NULL)
		rc = certauto__error_set(
			&account->object.cx->error, CERTAUTO_EINVAL, NULL, "name must be given");
	else if ((rc = certauto__store_name_check("account", name, &account->object.cx->error)) ==
	    0)
		rc = account_set_text(account, &account->name, name);
	return certauto__leave(account->object.cx, rc);
}

/* One text, checked by set: the form of four setters. */
static int account_set_checked(certauto_account *account, const char *text, int unused,
	int (*set)(certauto_account *account, const char *text, certauto_error *err))
{
	int rc;

	if ((rc = account_enter(account, unused)) < 0)
		return rc;
	if (text == NULL)
		rc = certauto__error_set(&account->object.cx->error, CERTAUTO_EINVAL,
			account->name, "a text must be given, not NULL");
	else
		rc = set(account, text, &account->object.cx->error);
	return certauto__leave(account->object.cx, rc);
}

int certauto_account_set_key_type(certauto_account *account, const char *type)
{
	return account_set_checked(account, type, 0, certauto__account_set_key_type);
}

int certauto_account_set_eab_alg(certauto_account *account, const char *alg)
{
	return account_set_checked(account, alg, 0, certauto__account_set_eab_alg);
}

int certauto_account_allow_host(certauto_account *account, const char *host)
{
	return account_set_checked(account, host, 0, certauto__account_allow_host);
}

int certauto_account_set_eab(certauto_account *account, const char *kid, const unsigned char *data,
	size_t data_len)
{
	certauto_error *err;
	int rc;

	if ((rc = account_enter(account, 0)) < 0)
		return rc;
	err = &account->object.cx->error;
	if (kid == NULL || data == NULL)
		rc = certauto__error_set(
			err, CERTAUTO_EINVAL, account->name, "kid and data must be given");
	else
		rc = certauto__account_set_eab(account, kid, data, data_len, err);
	return certauto__leave(account->object.cx, rc);
}

/* ---- jobs ---- */

static void account_unref(void *account)
{
	certauto__object_unref(account);
}

int certauto__account_enter(certauto_account *account)
{
	return account_enter(account, 0);
}

int certauto__account_start(certauto_job **out, certauto_account *account,
	struct certauto__start *start, int deadline_ms)
{
	certauto_error *err = &account->object.cx->error;
	int rc;

	start->name = account->name;
	start->deadline_ms = certauto__acme_deadline(deadline_ms);
	if (start->env == NULL) {
		start->env = certauto__object_ref(account);
		start->env_free = account_unref;
	}
	if (out == NULL)
		rc = certauto__error_set(err, CERTAUTO_EINVAL, NULL, "out must be given");
	else
		rc = certauto__account_peer(account, &start->peer, err);
	if (rc < 0) {
		start->env_free(start->env);
		return rc;
	}
	rc = certauto__job_start(out, account->object.cx, start, err);
	certauto__peer_unref(start->peer);
	return rc;
}

int certauto__account_run(certauto_account *account,
	int (*start)(certauto_job **out, certauto_account *account, int deadline_ms),
	int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = account_enter(account, 0)) < 0 ||
	    (rc = certauto__leave(
		     account->object.cx, certauto__not_in_callback(account->object.cx))) < 0 ||
	    (rc = start(&job, account, timeout_ms)) < 0)
		return rc;
	rc = certauto_job_wait(job, -1);
	certauto_job_free(job);
	return rc;
}

int certauto_account_start_register(certauto_job **out, certauto_account *account, int deadline_ms)
{
	struct certauto__start start = {.table = &certauto__register_table};
	int rc;

	if ((rc = account_enter(account, 0)) < 0)
		return rc;
	rc = certauto__account_start(out, account, &start, deadline_ms);
	return certauto__leave(account->object.cx, rc);
}

int certauto_account_register(certauto_account *account, int timeout_ms)
{
	return certauto__account_run(account, certauto_account_start_register, timeout_ms);
}

/* ---- properties ---- */

static const char *list_item(const certauto__list *list, size_t i)
{
	return i < list->n ? list->items[i] : NULL;
}

const char *certauto_account_status(const certauto_account *account)
{
	return account != NULL ? account->status : NULL;
}

size_t certauto_account_n_contacts(const certauto_account *account)
{
	return account != NULL ? account->known_contacts.n : 0;
}

const char *certauto_account_contact(const certauto_account *account, size_t i)
{
	return account != NULL ? list_item(&account->known_contacts, i) : NULL;
}

size_t certauto_account_n_orders(const certauto_account *account)
{
	return account != NULL ? account->orders.n : 0;
}

const char *certauto_account_order(const certauto_account *account, size_t i)
{
	return account != NULL ? list_item(&account->orders, i) : NULL;
}

size_t certauto_account_n_profiles(const certauto_account *account)
{
	return account != NULL ? account->profiles.n : 0;
}

const char *certauto_account_profile(const certauto_account *account, size_t i)
{
	return account != NULL ? list_item(&account->profiles, i) : NULL;
}

const char *certauto_account_url(const certauto_account *account)
{
	return account != NULL ? account->url : NULL;
}

const char *certauto_account_terms_url(const certauto_account *account)
{
	return account != NULL ? account->terms_url : NULL;
}

const char *certauto_account_server(const certauto_account *account)
{
	return account != NULL ? account->server : NULL;
}

certauto_context *certauto_account_context(const certauto_account *account)
{
	return account != NULL ? account->object.cx : NULL;
}

void certauto_account_free(certauto_account *account)
{
	certauto__object_unref(account);
}
