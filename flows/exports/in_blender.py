"""What runs inside Blender, in a process of its own: a GLB becomes an FBX or a USDZ."""

from __future__ import annotations

import sys


def convert(source: str, target: str, fps: float) -> None:
    """Read a GLB and write armature, mesh, texture and clips, in the format that `target` ends as."""
    import bpy  # pyright: ignore[reportMissingImports]

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = round(fps), round(fps) / fps  # keys of the GLB fall on frames
    bpy.ops.import_scene.gltf(filepath=source, disable_bone_shape=True)
    if target.endswith(".usdz"):
        last = max((action.frame_range[1] for action in bpy.data.actions), default=0)
        scene.frame_start, scene.frame_end = 0, round(last)
        bpy.ops.wm.usd_export(
            filepath=target,
            export_animation=last > 0,
            export_armatures=True,
            export_shapekeys=True,
            convert_orientation=True,
            export_global_forward_selection="NEGATIVE_Z",
            export_global_up_selection="Y",
        )
        return
    bpy.ops.export_scene.fbx(
        filepath=target,
        object_types={"ARMATURE", "MESH"},
        add_leaf_bones=False,
        bake_anim=True,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=True,
        bake_anim_simplify_factor=0.0,
        path_mode="COPY",
        embed_textures=True,
    )


if __name__ == "__main__":
    convert(sys.argv[1], sys.argv[2], float(sys.argv[3]))
