/* SPDX-License-Identifier: Apache-2.0 */
/* The public headers for SWIG: one flat module `_certauto` that bindings in a language's own manner
 * are written upon. What is the same for all languages is here and in the generated list; how
 * strings, bytes, handles, callbacks and errors cross is in a file of each language's own. */
%module(package="certauto") certauto

%{
#include <certauto.h>
#include <certauto/sys/target.h>
%}

%include "stdint.i"

/* An opaque handle that is freed with the object that wraps it. */
%define %certauto_noun(NOUN)
%ignore certauto_##NOUN##_free;
%nodefaultctor certauto_##NOUN;
struct certauto_##NOUN {};
%extend certauto_##NOUN {
	~certauto_##NOUN() {
		certauto_##NOUN##_free($self);
	}
}
%enddef

/* Tables of function pointers: a language makes them itself. Buffers are freed by typemaps. */
%ignore certauto_target_ops;
%ignore certauto_target_new_ops;
%ignore certauto_context_add_target;
%ignore certauto_mem_free;
%ignore CERTAUTO_ERROR_MAP;

#if defined(SWIGPYTHON)
%include "python.i"
#elif defined(SWIGLUA)
%include "lua.i"
#endif

/* Made by generate.py from the headers: which calls are checked, which may block, from which handle
 * the context of each is found; the nouns; the headers' comments. */
%include "certauto_calls.i"

%include <certauto/version.h>
%include <certauto/error.h>
%include <certauto/context.h>
%include <certauto/job.h>
%include <certauto/key.h>
%include <certauto/csr.h>
%include <certauto/chain.h>
%include <certauto/store.h>
%include <certauto/account.h>
%include <certauto/target.h>
%include <certauto/order.h>
%include <certauto/fleet.h>
%include <certauto/sys/target.h>
