/* SPDX-License-Identifier: Apache-2.0 */
/* The public noun account: what it is made of and how it is configured. How it is found or
 * created at the CA is in service.c. */
#include "acme/peer.h"

#include <string.h>

#include "core/memory.h"
#include "crypto/objects.h"
#include "http/http.h"

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
	certauto__free(account->name);
	certauto__free(account->server);
	certauto__free(account->ca_file);
	certauto__free(account->url);
	certauto__free(account->terms_url);
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
		certauto__object_ref(key);
		certauto_key_free(account->key);
		account->key = key;
		account->pkey = key->pkey;
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

static void account_unref(void *account)
{
	certauto__object_unref(account);
}

int certauto_account_start_register(certauto_job **out, certauto_account *account, int deadline_ms)
{
	struct certauto__start start;
	certauto_error *err;
	int rc;

	if ((rc = account_enter(account, 0)) < 0)
		return rc;
	err = &account->object.cx->error;
	memset(&start, 0, sizeof(start));
	if (out == NULL) {
		rc = certauto__error_set(err, CERTAUTO_EINVAL, NULL, "out must be given");
	} else if ((rc = certauto__account_peer(account, &start.peer, err)) == 0) {
		start.table = &certauto__register_table;
		start.name = account->name;
		start.env = certauto__object_ref(account);
		start.env_free = account_unref;
		start.deadline_ms = certauto__acme_deadline(deadline_ms);
		rc = certauto__job_start(out, account->object.cx, &start, err);
		certauto__peer_unref(start.peer);
	}
	return certauto__leave(account->object.cx, rc);
}

int certauto_account_register(certauto_account *account, int timeout_ms)
{
	certauto_job *job = NULL;
	int rc;

	if ((rc = account_enter(account, 0)) < 0)
		return rc;
	if ((rc = certauto__leave(
			account->object.cx, certauto__not_in_callback(account->object.cx))) < 0 ||
	    (rc = certauto_account_start_register(&job, account, timeout_ms)) < 0)
		return rc;
	rc = certauto_job_wait(job, -1);
	certauto_job_free(job);
	return rc;
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
