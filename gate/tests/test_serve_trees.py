# SPDX-License-Identifier: BSD-3-Clause
import errno
import os
import unittest
from unittest import mock

from slidegate_gate import contents
from slidegate_gate.errors import BadOutput, BadTree, MissingBlobs
from slidegate_gate.protocol.canonical import canonical
from slidegate_gate.serve import files, trees
from support import Process, SiteTest, digest_of


class Putting(SiteTest):
    def put(self, data, offset, body, key="one"):
        return self.site.ask("put", body, key, digest=digest_of(data), size=len(data), offset=offset)

    def blob(self, data):
        with open(self.site.layout().blob(digest_of(data)), "rb") as file:
            return file.read()

    def test_a_content_in_one_piece_is_committed(self):
        answer = self.put(b"abc", 0, b"abc")
        self.assertEqual((answer["next"], answer["committed"]), (3, True))
        self.assertEqual(self.blob(b"abc"), b"abc")
        self.assertEqual(os.listdir(self.site.layout().parts), [])

    def test_an_empty_content_is_a_content(self):
        self.assertTrue(self.put(b"", 0, b"")["committed"])
        self.assertEqual(self.blob(b""), b"")

    def test_pieces_are_put_together(self):
        data = os.urandom(1000)
        for offset in range(0, 1000, 300):
            answer = self.put(data, offset, data[offset : offset + 300])
        self.assertTrue(answer["committed"])
        self.assertEqual(self.blob(data), data)

    def test_a_second_connection_continues_where_the_first_ended(self):
        data = os.urandom(1000)
        self.put(data, 0, data[:400])
        self.site.gate()._uploads.close()
        self.site.reconnect()
        answer = self.site.ask("have", blobs=[[digest_of(data), 1000]])
        self.assertEqual(answer["missing"], [digest_of(data)])
        self.assertEqual(answer["partial"], {digest_of(data): 400})
        self.assertTrue(self.put(data, 400, data[400:])["committed"])
        self.assertEqual(self.blob(data), data)

    def test_pieces_of_two_contents_may_alternate(self):
        one, two = os.urandom(100), os.urandom(100)
        for offset in (0, 50):
            for data in (one, two):
                self.put(data, offset, data[offset : offset + 50])
        self.assertEqual((self.blob(one), self.blob(two)), (one, two))

    def test_a_repeated_or_reordered_piece_is_told_where_to_go_on(self):
        data = os.urandom(90)
        self.put(data, 0, data[:30])
        for offset in (0, 60):
            answer = self.put(data, offset, data[offset : offset + 30])
            self.assertEqual(self.assert_refused(answer, "wrong-offset", transient=True), {"next": 30})
        self.put(data, 30, data[30:60])
        self.assertTrue(self.put(data, 60, data[60:])["committed"])
        again = self.put(data, 0, data[:30])
        self.assertEqual((again["next"], again["committed"]), (90, True))

    def test_what_does_not_match_its_digest_is_thrown_away(self):
        data = b"abcdef"
        self.assert_refused(self.put(data, 0, b"abcdeX"), "digest-mismatch")
        self.put(data, 0, b"abX")
        self.assert_refused(self.put(data, 3, b"def"), "digest-mismatch")
        self.assertEqual(os.listdir(self.site.layout().parts), [])
        self.assertFalse(trees.held(self.site.layout(), digest_of(data), 6))
        self.assertTrue(self.put(data, 0, data)["committed"])

    def test_a_part_that_is_complete_or_too_long_is_committed_or_thrown_away(self):
        layout = self.site.layout()
        files.make_dirs(layout.parts)
        for found, code in ((b"abc", None), (b"abX", "digest-mismatch"), (b"abcd", "digest-mismatch")):
            with open(layout.part(digest_of(b"abc")), "wb") as file:
                file.write(found)
            self.assertEqual(self.site.ask("have", blobs=[[digest_of(b"abc"), 3]])["partial"], {})
            answer = self.put(b"abc", 0, b"abc")
            if code:
                self.assert_refused(answer, code, transient=True)
                answer = self.put(b"abc", 0, b"abc")
            self.assertTrue(answer["committed"])
            self.assertEqual(self.blob(b"abc"), b"abc")
            os.unlink(layout.blob(digest_of(b"abc")))

    def test_writes_that_the_system_cuts_short_are_completed(self):
        data = os.urandom(300000)
        real = os.pwrite
        with mock.patch.object(os, "pwrite", lambda handle, piece, place: real(handle, piece[:70001], place)):
            self.put(data, 0, data[:200000])
            self.assertTrue(self.put(data, 200000, data[200000:])["committed"])
        self.assertEqual(self.blob(data), data)

    def test_pieces_outside_the_content_are_refused(self):
        self.assert_refused(self.put(b"abc", 0, b"abcd"), "bad-request")
        self.assert_refused(self.put(b"abc", 3, b"x"), "bad-request")
        self.assertEqual(self.put(b"abc", 0, b"")["next"], 0)
        self.assert_refused(self.put(b"abc", 1 << 49, b"abc"), "bad-request")

    def test_a_lie_about_the_size_commits_nothing(self):
        digest = digest_of(b"abc")
        self.assert_refused(self.site.ask("put", b"ab", digest=digest, size=2, offset=0), "digest-mismatch")
        self.put(b"abc", 0, b"ab")
        answer = self.site.ask("put", b"a", digest=digest, size=1, offset=0)
        self.assert_refused(answer, "digest-mismatch")
        self.assertFalse(os.path.exists(self.site.layout().blob(digest)))

    def test_two_connections_cannot_send_one_content_at_once(self):
        data = os.urandom(90)
        self.put(data, 0, data[:30])
        first = self.site.gate()
        self.site.reconnect()
        self.assert_refused(self.put(data, 30, data[30:]), "busy", transient=True)
        self.site.gates = {"one": first}
        self.assertTrue(self.put(data, 30, data[30:])["committed"])

    def test_a_link_in_the_place_of_a_part_is_not_followed(self):
        layout = self.site.layout()
        victim = os.path.join(self.site.home, "victim")
        with open(victim, "w") as file:
            file.write("precious")
        files.make_dirs(layout.parts)
        os.symlink(victim, layout.part(digest_of(b"abc")))
        self.assertTrue(self.put(b"abc", 0, b"abc")["committed"])
        os.symlink(victim, layout.part(digest_of(b"abcdef")))
        self.put(b"abcdef", 0, b"abc")
        self.assertTrue(self.put(b"abcdef", 3, b"def")["committed"])
        with open(victim) as file:
            self.assertEqual(file.read(), "precious")
        self.assertFalse(os.path.islink(layout.blob(digest_of(b"abc"))))

    def test_a_link_a_pipe_or_a_wrong_size_in_the_place_of_a_blob_is_no_blob(self):
        layout = self.site.layout()
        digest = self.site.put(b"abc")
        blob = layout.blob(digest)
        for spoil in (
            lambda: os.symlink(__file__, blob),
            lambda: os.mkfifo(blob),
            lambda: open(blob, "w").close(),
        ):
            os.unlink(blob)
            spoil()
            self.assertEqual(self.site.ask("have", blobs=[[digest, 3]])["missing"], [digest])
            self.assertTrue(self.put(b"abc", 0, b"abc")["committed"])
            self.assertEqual(self.blob(b"abc"), b"abc")

    def test_what_a_power_cut_spoiled_is_found_before_it_is_used(self):
        plan = self.site.plan([1])
        blob = self.site.layout().blob(digest_of(b"pixels"))
        with open(blob, "r+b") as file:
            file.write(b"\0\0\0")
        self.assertEqual(self.site.ask("have", blobs=[[digest_of(b"pixels"), 6]])["missing"], [])
        answer = self.site.ask("submit", plan=plan, round=1)
        detail = self.assert_refused(answer, "missing-blobs", transient=True)
        self.assertEqual(detail, {"missing": [digest_of(b"pixels")]})
        self.assertEqual(
            self.site.ask("have", blobs=[[digest_of(b"pixels"), 6]])["missing"], detail["missing"]
        )
        self.site.put(b"pixels")
        self.assert_ok(self.site.ask("submit", plan=plan, round=1))

    def test_what_work_needs_is_on_the_disk_before_the_work_is_accepted(self):
        plan = self.site.plan([1])
        blob = self.site.layout().blob(digest_of(b"pixels"))
        flushed = []
        with mock.patch.object(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino)):
            self.assert_ok(self.site.ask("submit", plan=plan, round=1))
        self.assertIn(os.stat(blob).st_ino, flushed)
        self.assertEqual(os.stat(blob).st_mode & 0o777, 0o400)

    def test_a_content_that_was_tried_is_not_read_again(self):
        self.assert_ok(self.site.submit([1]))
        plan = self.site.plan([2])
        with mock.patch.object(trees, "hash_of", side_effect=AssertionError):
            self.assert_ok(self.site.ask("submit", plan=plan, round=1))

    def test_contents_of_one_key_are_not_there_for_another(self):
        digest = self.site.put(b"secret")
        self.assertEqual(self.site.ask("have", key="two", blobs=[[digest, 6]])["missing"], [digest])
        self.assert_refused(self.site.ask("read", key="two", digest=digest, offset=0, length=9), "gone")

    def test_pieces_of_a_content_can_be_read(self):
        digest = self.site.put(b"0123456789")
        for offset, length, piece in (
            (0, 4, b"0123"),
            (8, 100, b"89"),
            (10, 5, b""),
            (99, 5, b""),
            (3, 0, b""),
        ):
            answer = self.site.ask("read", digest=digest, offset=offset, length=length)
            self.assertEqual((answer["size"], self.site.body), (10, piece))

    def test_a_gate_killed_while_it_receives_leaves_a_beginning_that_can_be_continued(self):
        data = os.urandom(5 << 20)
        for begin in (0, 2 << 20, 4 << 20):
            process = Process(self.site.home)
            partial = process.ask("have", blobs=[[digest_of(data), len(data)]])["partial"]
            self.assertEqual(partial.get(digest_of(data), 0), begin)
            for offset in (begin, begin + (1 << 20)):
                piece = data[offset : offset + (1 << 20)]
                if begin < (4 << 20):
                    process.ask("put", piece, digest=digest_of(data), size=len(data), offset=offset)
            process.send(b"SLIDEGATE/1 100 8000000 ")
            process.kill()
        offset = 4 << 20
        process = Process(self.site.home)
        answer = process.ask("put", data[offset:], digest=digest_of(data), size=len(data), offset=offset)
        self.assertTrue(answer["committed"])
        self.assertEqual(process.close()[0], 0)
        self.assertEqual(self.blob(data), data)


class Trees(SiteTest):
    def store(self, data):
        return contents.add_bytes(self.site.layout(), data)

    def tree(self, entries):
        return self.store(canonical({"tree": 1, "entries": entries}))

    def test_a_tree_is_read_as_it_was_written(self):
        entries = [("a", 3, self.store(b"abc")), ("b/c", 0, self.store(b""))]
        digest = contents.write_tree(self.site.layout(), reversed(entries))
        self.assertEqual(trees.load_tree(self.site.layout(), digest), entries)

    def test_names_that_do_not_fit_into_one_folder_are_refused(self):
        blob = self.store(b"abc")
        for names in (
            ["../a"],
            ["/a"],
            ["a/../../b"],
            [".a"],
            ["a", "a"],
            ["b", "a"],
            ["a", "a/b"],
            ["a/b", "a/b/c"],
        ):
            with self.assertRaises(BadTree, msg=names):
                trees.load_tree(self.site.layout(), self.tree([[name, 3, blob] for name in names]))

    def test_anything_but_the_canonical_form_is_refused(self):
        blob = self.store(b"abc")
        good = canonical({"tree": 1, "entries": [["a", 3, blob]]})
        for data in (
            b"",
            b"{}",
            b"[]",
            b"null",
            b"\xff",
            good + b"\n",
            good.replace(b",", b", "),
            good.replace(b"3", b"3.0"),
            good.replace(b":1", b":2"),
            good.replace(b"3", b"-3"),
            good.replace(b"3", b"true"),
            good.replace(blob.encode(), b"x"),
            good.replace(b'["a"', b'["a",1'),
            b'{"tree":1,"entries":7}',
            b'{"entries":[["a",3]],"tree":1}',
            b'{"entries":[[["a"],3,"x"]],"tree":1}',
        ):
            with self.assertRaises(BadTree, msg=data):
                trees.load_tree(self.site.layout(), self.store(data))

    def test_a_spoiled_list_is_missing_and_not_believed(self):
        digest = self.tree([["a", 3, self.store(b"abc")]])
        path = self.site.layout().blob(digest)
        os.chmod(path, 0o600)
        with open(path, "r+b") as file:
            file.write(b"X")
        with self.assertRaises(MissingBlobs):
            trees.load_tree(self.site.layout(), digest)
        self.assertFalse(os.path.exists(path))

    def test_a_folder_is_made_of_a_tree_and_healed_when_files_vanish(self):
        layout = self.site.layout()
        blob = self.store(b"abc")
        digest = self.tree([["a", 3, blob], ["b/c", 3, blob], ["d", 0, self.store(b"")]])
        home = contents.materialise(layout, digest)
        os.unlink(os.path.join(home, "a"))
        os.unlink(os.path.join(home, "b", "c"))
        os.rmdir(os.path.join(home, "b"))
        self.assertEqual(contents.materialise(layout, digest), home)
        with open(os.path.join(home, "b", "c"), "rb") as file:
            self.assertEqual(file.read(), b"abc")
        os.unlink(layout.blob(blob))
        self.assertEqual(contents.materialise(layout, digest), home)
        os.unlink(os.path.join(home, "a"))
        with self.assertRaises(MissingBlobs) as caught:
            contents.materialise(layout, digest)
        self.assertEqual(caught.exception.detail["missing"], [blob])
        self.assertEqual(sorted(os.listdir(layout.trees)), [digest])

    def test_a_content_may_stand_in_more_places_than_a_file_may_have_names(self):
        layout = self.site.layout()
        blob = self.store(b"white")
        digest = self.tree([["%d" % number, 5, blob] for number in range(8)])
        link = os.link

        def few_links(old, new):
            if os.stat(old).st_nlink == 3:
                raise OSError(errno.EMLINK, "Too many links")
            link(old, new)

        with mock.patch.object(os, "link", few_links):
            home = contents.materialise(layout, digest)
        paths = [os.path.join(home, name) for name in os.listdir(home)] + [layout.blob(blob)]
        self.assertEqual({os.stat(path).st_mode & 0o777 for path in paths}, {0o400})
        self.assertEqual(len({os.stat(path).st_ino for path in paths}), 4)
        self.assertEqual(len(paths), 9)
        self.assertEqual(os.listdir(os.path.dirname(layout.blob(blob))), [blob])

    def test_an_output_becomes_a_blob_without_being_copied(self):
        layout = self.site.layout()
        path = os.path.join(self.site.home, "out")
        with open(path, "wb") as file:
            file.write(b"result")
        self.assertEqual(contents.link_output(layout, path), (6, digest_of(b"result")))
        self.assertEqual(contents.link_output(layout, path), (6, digest_of(b"result")))
        self.assertTrue(os.path.samefile(path, layout.blob(digest_of(b"result"))))
        self.assertEqual(os.listdir(layout.parts), [])

    def test_a_link_or_a_pipe_is_no_output(self):
        path = os.path.join(self.site.home, "out")
        os.symlink("/etc/passwd", path)
        with self.assertRaises(OSError):
            contents.link_output(self.site.layout(), path)
        os.unlink(path)
        os.mkfifo(path)
        with self.assertRaises(BadOutput):
            contents.link_output(self.site.layout(), path)

    def test_what_takes_the_place_of_an_output_while_it_is_read_is_not_kept_for_it(self):
        layout, path = self.site.layout(), os.path.join(self.site.home, "out")
        with open(path, "wb") as file:
            file.write(b"result")

        def hash_of(handle, real=trees.hash_of):
            found = real(handle)
            with open(path + ".other", "wb") as file:
                file.write(b"others")
            os.rename(path + ".other", path)
            return found

        with mock.patch.object(trees, "hash_of", hash_of), self.assertRaises(BadOutput):
            contents.link_output(layout, path)
        self.assertEqual(os.listdir(layout.parts), [])
        self.assertFalse(os.path.exists(layout.blob(digest_of(b"result"))))


if __name__ == "__main__":
    unittest.main()
