/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_FAKE_HAPROXY_H
#define CERTAUTO_TESTS_FAKE_HAPROXY_H

/* A runtime API that answers as HAProxy 2.6 was seen to, word by word, with what a real one
 * cannot be told to do: to lose the n-th answer, before or after its effect. One command a
 * connection; a blank line ends a payload, and what follows it is a command; there is one
 * transaction at a time; `set` with one open writes into that one whatever path it names;
 * `commit` is where key and certificate are compared. */

#include "unit_target.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "crypto/crypto.h"

#define FAKE_BUFSIZE 16384
#define FAKE_CERTS 4
#define FAKE_ENTRIES 4

struct fake_cert {
	char path[256], pem[FAKE_BUFSIZE]; /* pem empty: made by `new`, never committed */
	int listed;
};

struct fake {
	char socket[128], folder[128], map[32];
	int listener, stop;
	pthread_t thread;
	struct fake_cert certs[FAKE_CERTS];
	char transaction[256], set[FAKE_BUFSIZE];
	char entries[FAKE_ENTRIES][520]; /* "key value" */
	int n_commands, n_writes; /* writes: all but show and get */
	int injected; /* something stood behind the end of a command */
	int cut_at, cut_after; /* the n-th command is not answered */
	int dead_from; /* from the n-th on none is */
	int refuse_commit, operator_only;
	int intruders; /* so often somebody opens a transaction just before `set`, and ends it after
	                  it was shown once */
};

#define FAKE_INTRUDER "/intruder.pem"

static inline struct fake_cert *fake_cert(struct fake *f, const char *path)
{
	size_t i;

	for (i = 0; i < FAKE_CERTS; i++) {
		if (strcmp(f->certs[i].path, path) == 0)
			return &f->certs[i];
	}
	return NULL;
}

/* The certificates, or the key, of a PEM with both. */
static inline void fake_part(certauto__buffer *out, const char *pem, const char *label)
{
	const char *at = pem, *end;
	char begin[64];

	snprintf(begin, sizeof(begin), "-----BEGIN %s", label);
	while ((at = strstr(at, begin)) != NULL && (end = strstr(at, "-----END ")) != NULL) {
		end += strcspn(end, "\n");
		certauto__buffer_add(out, at, (size_t)(end - at));
		certauto__buffer_text_add(out, "\n");
		at = end;
	}
}

static inline certauto__certs *fake_certs(const char *pem)
{
	certauto__buffer part = CERTAUTO__BUFFER(1 << 20);
	certauto__certs *certs = NULL;

	fake_part(&part, pem, "CERTIFICATE");
	if (certauto__certs_parse(&certs, part.data, part.len, 0, NULL) < 0)
		certs = NULL;
	certauto__buffer_free(&part);
	return certs;
}

static inline void fake_serial(char *out, size_t size, const char *pem)
{
	certauto__certs *certs = fake_certs(pem);
	size_t i;

	out[0] = '\0';
	if (certs != NULL)
		snprintf(out, size, "%s", certauto__certs_info(certs, 0)->serial);
	for (i = 0; out[i] != '\0'; i++)
		out[i] = (char)(out[i] >= 'a' ? out[i] - 'a' + 'A' : out[i]);
	certauto__certs_free(certs);
}

/* 1 if the key is that of the certificate. */
static inline int fake_matches(const char *pem)
{
	certauto__buffer part = CERTAUTO__BUFFER(1 << 20);
	certauto__certs *certs = fake_certs(pem);
	certauto__pkey *key = NULL;
	int matches = 0;

	fake_part(&part, pem, "PRIVATE KEY");
	if (certs != NULL && certauto__pkey_parse(&key, part.data, part.len, NULL) == 0)
		matches = certauto__certs_has_key(certs, key);
	certauto__pkey_free(key);
	certauto__certs_free(certs);
	certauto__buffer_free(&part);
	return matches;
}

/* ---- commands: answer and effect ---- */

static inline void fake_show_cert(struct fake *f, const char *path, certauto__buffer *out)
{
	struct fake_cert *cert = path[0] != '\0' ? fake_cert(f, path) : NULL;
	char serial[256];
	size_t i;

	if (path[0] == '\0') {
		if (f->transaction[0] != '\0')
			certauto__buffer_printf(out, "# transaction\n*%s\n", f->transaction);
		if (strcmp(f->transaction, FAKE_INTRUDER) == 0)
			f->transaction[0] = '\0';
		certauto__buffer_text_add(out, "# filename\n");
		for (i = 0; i < FAKE_CERTS; i++) {
			if (f->certs[i].path[0] != '\0')
				certauto__buffer_printf(out, "%s\n", f->certs[i].path);
		}
	} else if (cert == NULL) {
		certauto__buffer_text_add(out,
			"Can't display the certificate: Not found or the certificate is a "
			"bundle!\n");
	} else if (cert->pem[0] == '\0') {
		certauto__buffer_printf(out, "Filename: %s\nStatus: Empty\n", path);
	} else {
		fake_serial(serial, sizeof(serial), cert->pem);
		certauto__buffer_printf(out, "Filename: %s\nStatus: %s\nSerial: %s\n", path,
			cert->listed ? "Used" : "Unused", serial);
	}
}

static inline void fake_show_list(struct fake *f, const char *path, certauto__buffer *out)
{
	size_t i;

	if (strcmp(path, f->folder) != 0) {
		certauto__buffer_text_add(out, "didn't find the specified filename\n");
		return;
	}
	certauto__buffer_printf(out, "# %s\n", path);
	for (i = 0; i < FAKE_CERTS; i++) {
		if (f->certs[i].listed)
			certauto__buffer_printf(out, "%s\n", f->certs[i].path);
	}
}

static inline void fake_new(struct fake *f, const char *path, certauto__buffer *out)
{
	struct fake_cert *cert = fake_cert(f, path);

	if (cert != NULL) {
		certauto__buffer_printf(out, "Certificate '%s' already exists!\n", path);
		return;
	}
	cert = fake_cert(f, "");
	snprintf(cert->path, sizeof(cert->path), "%s", path);
	certauto__buffer_printf(out, "New empty certificate store '%s'!\n", path);
}

static inline void fake_others(const struct fake *f, const char *doing, const char *path,
	certauto__buffer *out)
{
	certauto__buffer_printf(out,
		"The ongoing transaction is about '%s' but you are trying to %s a transaction for "
		"'%s'\n",
		f->transaction, doing, path);
}

static inline void fake_set(struct fake *f, const char *path, const char *payload,
	certauto__buffer *out)
{
	certauto__certs *certs = fake_certs(payload);
	const char *what;

	if (f->intruders > 0 && f->transaction[0] == '\0') {
		f->intruders--;
		strcpy(f->transaction, FAKE_INTRUDER);
	}
	what = f->transaction[0] != '\0' ? "updated" : "created";

	if (certs == NULL || strstr(payload, "PRIVATE KEY") == NULL) {
		certauto__buffer_printf(out,
			"unable to load certificate from file '%s'.\nCan't load the payload\nCan't "
			"update %s!\n",
			path, path);
	} else if (f->transaction[0] == '\0' && fake_cert(f, path) == NULL) {
		certauto__buffer_printf(out,
			"Can't replace a certificate which is not referenced by the "
			"configuration!\nCan't update %s!\n",
			path);
	} else {
		if (f->transaction[0] == '\0')
			snprintf(f->transaction, sizeof(f->transaction), "%s", path);
		snprintf(f->set, sizeof(f->set), "%s", payload);
		certauto__buffer_printf(out,
			"Transaction %s for certificate %s!\n",
			what, f->transaction);
	}
	certauto__certs_free(certs);
}

static inline void fake_commit(struct fake *f, const char *path, certauto__buffer *out)
{
	if (f->transaction[0] != '\0' && strcmp(f->transaction, path) != 0) {
		fake_others(f, "commit", path, out);
	} else if (strcmp(f->transaction, path) != 0 || path[0] == '\0') {
		certauto__buffer_printf(out, "No ongoing transaction! !\nCan't commit %s!\n", path);
	} else if (f->refuse_commit || !fake_matches(f->set)) {
		certauto__buffer_printf(out,
			"inconsistencies between private key and certificate loaded '%s'.\nCan't "
			"commit %s!\n",
			path, path);
	} else {
		snprintf(fake_cert(f, path)->pem, FAKE_BUFSIZE, "%s", f->set);
		f->transaction[0] = '\0';
		certauto__buffer_printf(out, "Committing %s.\nSuccess!\n", path);
	}
}

static inline void fake_abort(struct fake *f, const char *path, certauto__buffer *out)
{
	if (f->transaction[0] != '\0' && strcmp(f->transaction, path) != 0) {
		fake_others(f, "abort", path, out);
		return;
	}
	if (strcmp(f->transaction, path) != 0) {
		certauto__buffer_text_add(out, "No ongoing transaction!\n");
		return;
	}
	f->transaction[0] = '\0';
	certauto__buffer_printf(out, "Transaction aborted for certificate '%s'!\n", path);
}

static inline void fake_del_cert(struct fake *f, const char *path, certauto__buffer *out)
{
	struct fake_cert *cert = fake_cert(f, path);

	if (cert == NULL) {
		certauto__buffer_printf(out,
			"Can't remove the certificate: certificate '%s' doesn't exist!\n",
			path);
	} else if (cert->listed) {
		certauto__buffer_printf(out,
			"Can't remove the certificate: certificate '%s' in use, can't be "
			"deleted!\n",
			path);
	} else {
		memset(cert, 0, sizeof(*cert));
		certauto__buffer_printf(out, "Certificate '%s' deleted!\n", path);
	}
}

static inline void fake_edit_list(struct fake *f, int add, const char *list, const char *path,
	certauto__buffer *out)
{
	struct fake_cert *cert = fake_cert(f, path);

	if (strcmp(list, f->folder) != 0)
		certauto__buffer_printf(out,
			"Can't edit the crt-list: crt-list '%s' does not exist!\n",
			list);
	else if (!add && (cert == NULL || !cert->listed))
		certauto__buffer_printf(out,
			"Can't delete the entry: certificate '%s' can't be found in crt-list "
			"'%s'!\n",
			path, list);
	else if (cert == NULL || cert->pem[0] == '\0')
		certauto__buffer_printf(out,
			"Can't edit the crt-list: certificate '%s' is empty!\n",
			path);
	else if (add && cert->listed)
		certauto__buffer_text_add(out,
			"Can't edit the crt-list: file already exists in this directory!\n");
	else
		certauto__buffer_printf(out,
			add ? "Inserting certificate '%s' in crt-list '%s'.\nSuccess!\n"
			    : "Entry '%s' deleted in crtlist '%s'!\n",
			path, list);
	if (cert != NULL && strcmp(list, f->folder) == 0)
		cert->listed = add;
}

static inline void fake_map(struct fake *f, const char *verb, const char *map, const char *key,
	const char *value, certauto__buffer *out)
{
	size_t i, n = 0;

	if (strcmp(map, f->map) != 0) {
		certauto__buffer_text_add(out,
			"Unknown map identifier. Please use #<id> or <file>.\n");
		return;
	}
	for (i = 0; i < FAKE_ENTRIES; i++) {
		if (strncmp(f->entries[i], key, strlen(key)) == 0 &&
			f->entries[i][strlen(key)] == ' ') {
			n++;
			if (strcmp(verb, "del") == 0)
				f->entries[i][0] = '\0';
		}
	}
	if (strcmp(verb, "del") == 0 && n == 0)
		certauto__buffer_text_add(out, "Key not found.\n");
	for (i = 0; strcmp(verb, "add") == 0 && i < FAKE_ENTRIES; i++) {
		if (f->entries[i][0] == '\0') {
			snprintf(f->entries[i], sizeof(f->entries[i]), "%s %s", key, value);
			break;
		}
	}
}

/* One command without its payload. */
static inline void fake_command(struct fake *f, char *line, const char *payload,
	certauto__buffer *out)
{
	char w[5][256] = {"", "", "", "", ""};

	sscanf(line, "%255s %255s %255s %255s %255s", w[0], w[1], w[2], w[3], w[4]);
	if (strcmp(w[0], "show") != 0 && strcmp(w[0], "get") != 0)
		f->n_writes++;
	if (f->operator_only && strcmp(w[1], "ssl") == 0 && strcmp(w[0], "show") != 0)
		certauto__buffer_text_add(out, "Permission denied\n");
	else if (strcmp(line, "show info") == 0)
		certauto__buffer_text_add(out, "Name: HAProxy\nVersion: 2.6.12-1\n");
	else if (strcmp(line, "show cli level") == 0)
		certauto__buffer_text_add(out, f->operator_only ? "operator\n" : "admin\n");
	else if (strncmp(line, "show ssl cert", 13) == 0)
		fake_show_cert(f, w[3], out);
	else if (strncmp(line, "show ssl crt-list", 17) == 0)
		fake_show_list(f, w[3], out);
	else if (strncmp(line, "new ssl cert", 12) == 0)
		fake_new(f, w[3], out);
	else if (strncmp(line, "set ssl cert", 12) == 0)
		fake_set(f, w[3], payload, out);
	else if (strncmp(line, "commit ssl cert", 15) == 0)
		fake_commit(f, w[3], out);
	else if (strncmp(line, "abort ssl cert", 14) == 0)
		fake_abort(f, w[3], out);
	else if (strncmp(line, "del ssl cert", 12) == 0)
		fake_del_cert(f, w[3], out);
	else if (strcmp(w[1], "ssl") == 0 && strcmp(w[2], "crt-list") == 0)
		fake_edit_list(f, strcmp(w[0], "add") == 0, w[3], w[4], out);
	else if (strcmp(w[1], "map") == 0)
		fake_map(f, w[0], w[2], w[3], w[4], out);
	else
		certauto__buffer_text_add(out,
			"Unknown command. Please enter one of the following commands only:\n");
	certauto__buffer_text_add(out, "\n");
}

/* ---- the server ---- */

/* All of a command, with its payload. 0 when it does not fit the buffer. */
static inline int fake_read(int fd, char *data, size_t size)
{
	size_t len = 0;
	const char *end;
	ssize_t n;

	for (;;) {
		data[len] = '\0';
		if ((end = strchr(data, '\n')) != NULL &&
			(strncmp(end - 2 >= data ? end - 2 : data, "<<", 2) != 0 ||
				strstr(data, "\n\n") != NULL))
			return 1;
		if (len + 1 >= size || (n = read(fd, data + len, size - 1 - len)) <= 0)
			return 0;
		len += (size_t)n;
	}
}

static inline void fake_execute(struct fake *f, char *data, certauto__buffer *out)
{
	char *end = strchr(data, '\n'), *payload = end + 1, *next;

	if (end - data > 2 && strncmp(end - 2, "<<", 2) == 0) {
		end[-2] = '\0';
		if ((next = strstr(payload, "\n\n")) != NULL) {
			f->injected |= next[2] != '\0';
			next[1] = '\0';
		}
		fake_command(f, data, payload, out);
		return;
	}
	f->injected |= end[1] != '\0';
	*end = '\0';
	for (; data != NULL; data = next) {
		if ((next = strchr(data, ';')) != NULL)
			*next++ = '\0';
		fake_command(f, data + strspn(data, " "), "", out);
	}
}

static inline void fake_serve(struct fake *f, int fd)
{
	static char data[FAKE_BUFSIZE];
	certauto__buffer out = CERTAUTO__BUFFER(1 << 16);
	int n, cut, len, sent = 0;
	ssize_t done;

	if (fake_read(fd, data, sizeof(data))) {
		n = ++f->n_commands;
		cut = n == f->cut_at || (f->dead_from > 0 && n >= f->dead_from);
		if (!cut || (n == f->cut_at && f->cut_after))
			fake_execute(f, data, &out);
		for (len = cut ? 0 : (int)out.len; sent < len; sent += (int)done) {
			if ((done = send(fd, out.data + sent, (size_t)(len - sent),
				     MSG_NOSIGNAL)) <= 0)
				break;
		}
	}
	certauto__buffer_free(&out);
	close(fd);
}

static inline void *fake_run(void *arg)
{
	struct fake *f = arg;
	int fd;

	while ((fd = accept(f->listener, NULL, NULL)) >= 0 && !f->stop)
		fake_serve(f, fd);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static inline void fake_start(struct fake *f, const char *folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memset(f, 0, sizeof(*f));
	snprintf(f->socket, sizeof(f->socket), "%s/haproxy.sock", folder);
	snprintf(f->folder, sizeof(f->folder), "%s/certs", folder);
	strcpy(f->map, "virt@acme");
	assert_int_equal(mkdir(f->folder, 0700), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", f->socket);
	f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(f->listener, 16), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
}

static inline void fake_stop(struct fake *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	f->stop = 1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", f->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	pthread_join(f->thread, NULL);
	close(f->listener);
}

/* Forgets what was counted and is broken. */
static inline void fake_heal(struct fake *f)
{
	f->n_commands = f->n_writes = f->cut_at = f->cut_after = f->dead_from = 0;
	f->refuse_commit = f->operator_only = 0;
}

#endif
