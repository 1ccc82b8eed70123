// SPDX-License-Identifier: AGPL-3.0-or-later
// "Open with" for images, datasets, projects and any mixture of them, also from several groups.
(function () {
    "use strict";
    var ID = "slidegate";
    var KINDS = ["image", "dataset", "project"];
    var LONGEST = 2000;  // characters of an address that every server on the way takes

    function written(ids) {  // [1, 2, 3, 7] as "1-3,7"
        var parts = [];
        ids.map(Number).sort(function (a, b) { return a - b; }).forEach(function (id) {
            var last = parts[parts.length - 1];
            if (last && id === last[1] + 1) { last[1] = id; } else { parts.push([id, id]); }
        });
        return parts.map(function (part) {
            return part[0] === part[1] ? String(part[0]) : part[0] + "-" + part[1];
        }).join(",");
    }

    function fields(selected) {
        var found = {};
        KINDS.forEach(function (kind) {
            var ids = selected.filter(function (one) { return one.type === kind; });
            if (ids.length) { found[kind] = written(ids.map(function (one) { return one.id; })); }
        });
        return found;
    }

    function cookie(name) {
        var pair = document.cookie.split("; ").find(function (one) { return one.indexOf(name + "=") === 0; });
        return pair ? decodeURIComponent(pair.slice(name.length + 1)) : "";
    }

    function post(url, asked) {
        var form = document.createElement("form");
        form.method = "post";
        form.action = url;
        form.target = "_blank";
        Object.keys(asked).forEach(function (name) {
            var field = document.createElement("input");
            field.type = "hidden";
            field.name = name;
            field.value = asked[name];
            form.appendChild(field);
        });
        document.body.appendChild(form);
        form.submit();
        form.remove();
    }

    OME.setOpenWithEnabledHandler(ID, function (selected) {
        return selected.length > 0 && selected.every(function (one) { return KINDS.indexOf(one.type) >= 0; });
    });

    OME.setOpenWithUrlProvider(ID, function (selected, url) {
        var asked = fields(selected);
        var query = Object.keys(asked).map(function (kind) { return kind + "=" + asked[kind]; }).join("&");
        if (query.length <= LONGEST) { return url + "?" + query; }
        return function () {
            post(url, Object.assign({csrfmiddlewaretoken: cookie("csrftoken")}, asked));
        };
    });
})();
